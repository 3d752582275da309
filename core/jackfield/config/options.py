"""The options of one plugin: `[options.NAME]` read into the dataclass that its card declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from jackfield.config.provenance import Source, SourceKind
from jackfield.config.schema import EngineConfig
from jackfield.config.settings import did_you_mean, settings_of
from jackfield.config.values import check_value
from jackfield.errors import UnknownSettingError

T = TypeVar("T")


def read_options(
    cls: type[T],
    name: str,
    config: EngineConfig,
    provenance: Mapping[str, Source] | None = None,
) -> T:
    """The options of plugin `name` as an instance of `cls`. Raises UnknownSettingError and ConfigError.

    `cls.REMOVED`, a class variable, may map removed options to advice on what to write instead.
    """
    section = f"options.{name}"
    known = settings_of(cls, section)
    values = {}
    for option, value in config.options.get(name, {}).items():
        key = f"{section}.{option}"
        source = (provenance or {}).get(key, Source(SourceKind.CODE, "code"))
        if instead := getattr(cls, "REMOVED", {}).get(option):
            raise UnknownSettingError(
                f"the option {key!r} of {name} is gone ({source}). Write {instead} instead"
            )
        if key not in known:
            names = [setting.key.rpartition(".")[2] for setting in known.values()]
            raise UnknownSettingError(
                f"unknown option {key!r} ({source}){did_you_mean(option, names)} "
                f"Options of {name}: {', '.join(names) or 'none'}"
            )
        values[option] = check_value(known[key], value, source)
    return cls(**values)


def check_options(
    declared: Mapping[str, type | None],
    installed: frozenset[str],
    config: EngineConfig,
    provenance: Mapping[str, Source],
) -> None:
    """Raise for options that nothing reads. `declared` maps selected plugins to the dataclasses of their options."""
    for name in config.options:
        where = ", ".join(str(s) for k, s in provenance.items() if k.startswith(f"options.{name}."))
        if name not in installed:
            raise UnknownSettingError(
                f"[options.{name}] ({where or 'code'}) names no plugin that is installed"
                f"{did_you_mean(name, installed)} Write [options.PLUGIN]"
            )
        if name not in declared:
            continue  # another engine with this file may select that plugin
        cls = declared[name]
        if cls is None:
            raise UnknownSettingError(
                f"[options.{name}] ({where}): {name} takes no options; remove it"
            )
        read_options(cls, name, config, provenance)
