"""The sources of settings. Each gives entries of key, checked value and place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jackfield.config.provenance import Source, SourceKind
from jackfield.config.removed import check_removed
from jackfield.config.settings import (
    OPEN_SECTIONS,
    Setting,
    all_settings,
    did_you_mean,
    sections,
)
from jackfield.config.toml import line_of, read_toml
from jackfield.config.values import NONE, check_value, parse_open, parse_text
from jackfield.environment import CACHE_FOLDER, CONFIG_FILE, PLUGINS, PREFIX
from jackfield.errors import ConfigError, UnknownSettingError

Entry = tuple[str, Any, Source]  # "section.key", checked value, place


def entries_of_file(path: Path) -> Iterator[Entry]:
    """The settings of a TOML file."""
    tables, lines = read_toml(path)

    def source(key: str) -> Source:
        line = line_of(key, lines)
        return Source(SourceKind.FILE, f"{path}:{line}" if line else str(path))

    for key, value, place in _typed_entries(tables, source):
        # Paths of a lock and of adapters count from the folder of the file that names them.
        is_path = (key == "plugins.lock" and value is not None) or key.startswith("adapters.")
        yield key, str(path.parent / Path(value).expanduser()) if is_path else value, place


def entries_of_code(values: Mapping[str, Any], source: Source) -> Iterator[Entry]:
    """Settings from nested or dotted keys with Python values."""
    return _typed_entries(values, lambda _: source)


def entries_of_cli(values: Mapping[str, str]) -> Iterator[Entry]:
    """Settings from dotted keys with texts."""
    for key, text in values.items():
        source = Source(SourceKind.CLI, f"command line: {key}")
        if key.split(".", 1)[0] in OPEN_SECTIONS:
            value = parse_open(text)
            _check_open_key(key, value, source)
            yield key, value, source
        else:
            yield key, parse_text(_setting(key, source), text, source), source


def entries_of_environment(variables: Mapping[str, str]) -> Iterator[Entry]:
    """The settings in JACKFIELD_* variables."""
    by_variable = {setting.variable: setting for setting in all_settings().values()}
    for name, text in sorted(variables.items()):
        source = Source(SourceKind.ENVIRONMENT, f"environment variable {name}")
        if name in (CONFIG_FILE, CACHE_FOLDER) or not name.startswith(PREFIX):
            continue
        if name == PLUGINS:
            yield from _plugin_entries(text, variables, source)
        elif name in by_variable:
            setting = by_variable[name]
            yield setting.key, parse_text(setting, text, source), source
        else:
            key = _open_variable_key(name, by_variable, source)
            check_removed(key, source)
            yield key, parse_open(text), source


def _typed_entries(
    values: Mapping[str, Any], source_of: Callable[[str], Source]
) -> Iterator[Entry]:
    for key, value in _flat(values):
        source = source_of(key)
        if key.split(".", 1)[0] in OPEN_SECTIONS:
            _check_open_key(key, value, source)
            yield key, value, source
        else:
            yield key, check_value(_setting(key, source), value, source), source


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested tables: down to section.key, in options down to options.plugin.key."""
    for name, value in values.items():
        key = f"{above}{name}"
        depth = 3 if key.split(".", 1)[0] == "options" else 2
        if isinstance(value, Mapping) and key.count(".") + 1 < depth:
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _plugin_entries(text: str, variables: Mapping[str, str], source: Source) -> Iterator[Entry]:
    allow = all_settings()["plugins.allow"]
    if allow.variable in variables:
        raise ConfigError(
            f"{PLUGINS} and {allow.variable} are both set but mean the same: unset one"
        )
    if text.strip().lower() == NONE:
        yield allow.key, (), source
        yield "plugins.autoload", False, source
    else:
        yield allow.key, parse_text(allow, text, source), source


def _open_variable_key(name: str, known: Mapping[str, Setting], source: Source) -> str:
    """The key of a variable: JACKFIELD_SELECT_ATTENTION is select.attention, JACKFIELD_ADAPTERS_SQL is adapters.sql,
    JACKFIELD_OPTIONS_ACME__SPEED is options.acme.speed.
    """
    section, _, rest = name.removeprefix(PREFIX).lower().partition("_")
    if section == "select" and rest:
        return f"select.{rest}"
    plugin, _, key = rest.partition("__")
    if section == "options" and plugin and key:
        return f"options.{plugin}.{key}"
    if section == "adapters" and rest:
        return f"adapters.{rest}"
    check_removed(f"{section}.{rest}", source)
    names = [*known, CONFIG_FILE, PLUGINS, CACHE_FOLDER]
    raise UnknownSettingError(
        f"unknown environment variable {name}{did_you_mean(name, names)} "
        f"Variables are {PREFIX}<SECTION>_<KEY>; see docs/configuration.md"
    )


def _setting(key: str, source: Source) -> Setting:
    known = all_settings()
    if key in known:
        return known[key]
    _check_parts(key, source)
    check_removed(key, source)
    section, _, name = key.partition(".")
    if section not in sections():
        names = [*sections(), *OPEN_SECTIONS]
        raise UnknownSettingError(
            f"unknown section {section!r} ({source}){did_you_mean(section, names)} "
            f"Sections: {', '.join(names)}"
        )
    if not name:
        raise ConfigError(f"{section} must be a table of settings ({source}). Write [{section}]")
    names = [key.partition(".")[2] for key in known if key.startswith(f"{section}.")]
    raise UnknownSettingError(
        f"unknown setting {key!r} ({source}){did_you_mean(name, names)} "
        f"Settings of [{section}]: {', '.join(names)}"
    )


def _check_parts(key: str, source: Source) -> None:
    """Refuse "select." and ".x", which a shell makes if a variable is not set."""
    if not all(key.split(".")):
        raise ConfigError(
            f"a part of the setting {key!r} is empty ({source}). Write SECTION.KEY, e.g. cache.block_size, "
            "select.attention or options.PLUGIN.KEY"
        )


def _check_open_key(key: str, value: Any, source: Source) -> None:
    check_removed(key, source)
    _check_parts(key, source)
    section, _, rest = key.partition(".")
    if section in ("select", "adapters") and not rest:
        raise ConfigError(f"{key} must be a table, got {value!r} ({source})")
    if section == "adapters" and not (isinstance(value, str) and value):
        raise ConfigError(f"{key} must be the folder of an adapter, got {value!r} ({source})")
    if section == "options" and "." not in rest:
        raise ConfigError(
            f"{key} must be a table of a plugin's options, got {value!r} ({source}). "
            "Write [options.PLUGIN] and then KEY = VALUE"
        )
