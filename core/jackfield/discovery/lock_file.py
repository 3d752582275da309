"""The file of a lock: sorted TOML with one fact a line, so that changes are easy to review."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jackfield.activation import PluginRef
from jackfield.discovery.failure import PluginFailure
from jackfield.discovery.lock import Lock, LockedDistribution, LockedModel
from jackfield.errors import ConfigError, PluginDrift

_FORMAT = 2  # version of the format; 1 held one model, under the user's name for it
_HEADER = """\
# Written by `jackfield plugins lock`; an engine whose settings name it in plugins.lock refuses to start where
# anything differs.
"""


def read_lock(path: Path) -> Lock:
    """The lock in a file. Raises ConfigError if it is missing or broken."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != _FORMAT:
            raise KeyError(f"format is {document.get('format')!r}, this jackfield reads {_FORMAT}")
        return _parsed(document)
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the lock {path} that plugins.lock names: {reason}. "
        "Write it with `jackfield plugins lock`, naming each of its models once, or remove the setting"
    )


def to_toml(lock: Lock) -> str:
    """The text of a lock's file."""
    lines = [_HEADER + f"format = {_FORMAT}"]
    for found in lock.distributions:
        lines.append(f"\n[distributions.{_text(found.name)}]\nversion = {_text(found.version)}")
        lines += [f"plugins.{_text(key)} = {_text(t)}" for key, t in found.plugins.items()]
    for model in lock.models:
        lines.append(f"\n[[models]]\nreference = {_text(model.reference)}")
        if model.revision:
            lines.append(f"revision = {_text(model.revision)}")
        lines += [f"selections.{_text(what)} = {_text(p)}" for what, p in model.selections.items()]
    return "\n".join(lines) + "\n"


def _parsed(document: Mapping[str, Any]) -> Lock:
    return Lock(
        distributions=tuple(
            LockedDistribution(
                name=name,
                version=entry["version"],
                plugins=dict(entry.get("plugins", {})),
            )
            for name, entry in document.get("distributions", {}).items()
        ),
        models=tuple(
            LockedModel(
                reference=entry["reference"],
                revision=entry.get("revision", ""),
                selections=dict(entry.get("selections", {})),
            )
            for entry in document.get("models", [])
        ),
    )


def lock_failures(file: str, plugins: Iterable[PluginRef]) -> tuple[PluginFailure, ...]:
    """Failures that prevent an engine with the lock `file` from starting."""
    try:
        read_lock(Path(file)).check_plugins(plugins, Path(file))
    except (ConfigError, PluginDrift) as error:
        fix = "Until then engines with these settings are refused, or run what was not locked"
        return (PluginFailure.of_setting("lock", "lock", file, str(error), fix),)
    return ()


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is also a basic string of TOML
