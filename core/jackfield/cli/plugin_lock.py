"""`jackfield plugins lock`: writes a lock of the installed plugins and their selections, or checks one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from jackfield.activation import PluginRef
from jackfield.cli.settings import load_from_arguments
from jackfield.config import LoadedConfig
from jackfield.discovery.lock import (
    Lock,
    LockedModel,
    lost_selections,
    make_lock,
)
from jackfield.discovery.lock_file import read_lock, to_toml
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import LOCK_FILE
from jackfield.errors import ConfigError, PluginDrift
from jackfield.startup.blueprint import make_blueprint


def run_lock(arguments: argparse.Namespace) -> int:
    """Write the lock, or check an existing one. Raises PluginDrift."""
    loaded = load_from_arguments(arguments)
    path = Path(loaded.config.plugins.lock or LOCK_FILE)
    is_named = loaded.config.plugins.lock is not None
    loaded = _unlocked(loaded)
    if arguments.check:
        checked = _check(loaded, path)
        print(f"{path} says what is installed{', and selected for ' if checked else ''}{checked}")
        return 0
    lock = _updated(loaded, path)
    _write(path, to_toml(lock))
    models = ", ".join(map(str, lock.models)) or "no model (name one to lock them too)"
    print(f"wrote {path}: {len(lock.distributions)} distributions, selections for {models}")
    if not is_named:
        print(f'to have it obeyed, set [plugins] lock = "{path}" in the config file')
    return 0


def _updated(loaded: LoadedConfig, path: Path) -> Lock:
    """A lock of the installation, with new selections for the named model and the locked ones for other models."""
    before = _locked_models(path)
    if not loaded.config.model.reference:
        plugins = PluginRegistry.scan(loaded.config.plugins).all
        return make_lock(plugins, _still_there(before, plugins))
    blueprint = make_blueprint(loaded)
    plugins, new = blueprint.registry.all, blueprint.locked_in(path.parent)
    others = [model for model in before if not new.is_same(model)]
    return make_lock(plugins, [new, *_still_there(others, plugins)])


def _locked_models(path: Path) -> tuple[LockedModel, ...]:
    if not path.is_file():
        return ()
    try:
        return read_lock(path).models
    except ConfigError as error:
        print(f"{error}\n{path} is written anew; models that it held must be named again")
        return ()


def _still_there(
    models: Iterable[LockedModel], plugins: tuple[PluginRef, ...]
) -> Iterator[LockedModel]:
    """The models whose selected plugins are all installed. Prints what happens to the others."""
    for model in models:
        if lost := lost_selections(model, plugins):
            print(
                f"dropped the selections for {model}, since these are gone: {', '.join(lost)}. "
                "Name it to lock what is selected now"
            )
        else:
            yield model


def _check(loaded: LoadedConfig, path: Path) -> str:
    """Check the lock. Returns the checked models in words."""
    lock = read_lock(path)
    lock.check_plugins(PluginRegistry.scan(loaded.config.plugins).all, path)
    is_one = bool(loaded.config.model.reference)
    wanted = [loaded] if is_one else [_of_model(loaded, m, path.parent) for m in lock.models]
    found = [make_blueprint(one).locked_in(path.parent) for one in wanted]
    differences = []
    for model in found:
        try:
            lock.check_model(model, path, must_know=True)
        except PluginDrift as drift:
            differences.append(str(drift))
    if differences:
        raise PluginDrift("\n".join(differences))
    return ", ".join(map(str, found))


def _of_model(loaded: LoadedConfig, model: LockedModel, folder: Path) -> LoadedConfig:
    """The settings for a model of the lock."""
    settings = replace(
        loaded.config.model,
        reference=model.reference_from(folder),
        revision=model.revision or None,
    )
    return replace(loaded, config=replace(loaded.config, model=settings))


def _unlocked(loaded: LoadedConfig) -> LoadedConfig:
    plugins = replace(loaded.config.plugins, lock=None)
    return replace(loaded, config=replace(loaded.config, plugins=plugins))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the lock {path}: {error.strerror or error}. "
            "Name a file in a folder that exists: --set plugins.lock=FILE"
        ) from None
