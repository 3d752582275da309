"""`jackfield plugins lock`: write what an engine is made of to a file, or say what has changed since."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from jackfield.cli.settings import load_from_arguments
from jackfield.config import LoadedConfig
from jackfield.discovery.content import altered_files
from jackfield.discovery.local import LOCAL
from jackfield.discovery.lock import FILE_NAME, Lock, make_lock, read_lock, to_toml
from jackfield.discovery.registry import PluginRegistry
from jackfield.engine.blueprint import make_blueprint
from jackfield.errors import ConfigError, PluginDrift


def add_lock_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only `lock` takes."""
    group = parser.add_argument_group(f"lock (plugins.lock, or {FILE_NAME} in the current folder)")
    group.add_argument(
        "model", nargs="?", help="lock also what is selected for this model on this machine"
    )
    group.add_argument(
        "--check", action="store_true", help="write nothing; status 2 and the differences, if any"
    )


def run_lock(arguments: argparse.Namespace) -> int:
    """Write the lock, or check the one that is there. Raises PluginDrift."""
    loaded = load_from_arguments(arguments)
    path = Path(loaded.config.plugins.lock or FILE_NAME)
    if arguments.check:
        _check(arguments, path)
        print(f"{path} says what is installed and selected")
        return 0
    lock = _lock_of(loaded)
    _write(path, to_toml(lock))
    print(f"wrote {path}: {len(lock.distributions)} distributions, {_selections(lock)}")
    unpinned = [found.name for found in lock.distributions if not found.sha256]
    if unpinned:
        print(f"content not pinned (editable or without RECORD): {', '.join(unpinned)}")
    if loaded.config.plugins.lock is None:
        print(f'to have it obeyed, set [plugins] lock = "{path}" in the config file')
    return 0


def _lock_of(loaded: LoadedConfig) -> Lock:
    loaded = _unlocked(loaded)
    reference = loaded.config.model.reference
    if not reference:
        return make_lock(PluginRegistry.scan(loaded.config.plugins).all)
    blueprint = make_blueprint(loaded)
    return make_lock(blueprint.registry.all, reference, blueprint.activation)


def _check(arguments: argparse.Namespace, path: Path) -> None:
    lock = read_lock(path)
    arguments.model = lock.model or None  # the settings of this call, for the model of the lock
    loaded = _unlocked(load_from_arguments(arguments))
    registry = PluginRegistry.scan(loaded.config.plugins)
    lock.check_plugins(registry.all, path)
    if lock.model:
        lock.check_selections(lock.model, make_blueprint(loaded, registry).activation, path)
    altered = [
        f"{found.name}: {file}"
        for found in lock.distributions
        if not found.name.startswith(f"{LOCAL}:")
        for file in altered_files(found.name)
    ]
    if altered:
        raise PluginDrift(
            "\n  ".join(["files that were altered since their wheel was installed:", *altered])
            + "\nInstall again: pip install --force-reinstall --no-deps NAME"
        )


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


def _selections(lock: Lock) -> str:
    if not lock.model:
        return "no selections (name a model to lock them too)"
    return f"{len(lock.selections)} selections for {lock.model}"
