"""Makes one frozen config from all sources of settings, and notes for each value the source that won."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jackfield.config.provenance import DEFAULT, Source, SourceKind
from jackfield.config.schema import EngineConfig, Scalar
from jackfield.config.settings import OPEN_SECTIONS, all_settings, sections
from jackfield.config.sources import (
    Entry,
    entries_of_cli,
    entries_of_code,
    entries_of_environment,
    entries_of_file,
)
from jackfield.environment import CONFIG_FILE, jackfield_variables
from jackfield.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A config, and the source of each of its values ("section.key")."""

    config: EngineConfig
    provenance: Mapping[str, Source]

    def with_platform_defaults(self, name: str, values: Mapping[str, Scalar]) -> LoadedConfig:
        """A copy with the defaults of platform `name` for all values that no other source set."""
        source = Source(SourceKind.PLATFORM, f"default of platform {name}")
        return self._with(
            entry
            for entry in entries_of_code(values, source)
            if self.provenance.get(entry[0], DEFAULT).kind <= SourceKind.PLATFORM
        )

    def with_derived(self, where: str, values: Mapping[str, Scalar]) -> LoadedConfig:
        """A copy with definite values for settings that a user may leave open ("auto", none)."""
        return self._with(entries_of_code(values, Source(SourceKind.DERIVED, where)))

    def _with(self, entries: Iterable[Entry]) -> LoadedConfig:
        provenance, config = dict(self.provenance), self.config
        for key, value, source in entries:
            provenance[key] = source
            config = _with_value(config, key, value, source)
        return LoadedConfig(config=config, provenance=provenance)


def load_config(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cli: Mapping[str, str] | None = None,
    code: Mapping[str, Any] | None = None,
) -> LoadedConfig:
    """Merge default < file < environment < command line < code.

    If `environ` is None, the process environment is read. `cli` maps "section.key" to text; `code` maps sections or
    "section.key" to values. Raises UnknownSettingError for unknown settings, ConfigError for values that are not
    allowed.
    """
    variables = jackfield_variables() if environ is None else environ
    if file is None and variables.get(CONFIG_FILE):
        file = Path(variables[CONFIG_FILE])
    winners: dict[str, tuple[Any, Source]] = {}
    for entries in (
        entries_of_file(file) if file else (),
        entries_of_environment(variables),
        entries_of_cli(cli or {}),
        entries_of_code(code or {}, Source(SourceKind.CODE, "code")),
    ):
        for key, value, source in entries:
            winners[key] = (value, source)
    values = {key: value for key, (value, _) in winners.items()}
    provenance = {key: source for key, (_, source) in winners.items()}
    return LoadedConfig(
        config=_build(values, provenance),
        provenance=dict.fromkeys(all_settings(), DEFAULT) | provenance,
    )


def _build(values: Mapping[str, Any], provenance: Mapping[str, Source]) -> EngineConfig:
    """The config from dotted keys."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    parts: dict[str, Any] = {name: tables.get(name, {}) for name in ("select", "adapters")}
    parts["options"] = {}
    for name, value in tables.get("options", {}).items():
        plugin, _, option = name.partition(".")
        parts["options"].setdefault(plugin, {})[option] = value
    for section, cls in sections().items():
        try:
            parts[section] = cls(**tables.get(section, {}))
        except ConfigError as error:
            raise _with_places(error, section, provenance) from None
    return EngineConfig(**parts)


def _with_places(error: ConfigError, section: str, provenance: Mapping[str, Source]) -> ConfigError:
    """The error of a section's own check, with the sources of the settings that it names."""
    places = [
        f"{key}: {source}"
        for key, source in provenance.items()
        if key.startswith(f"{section}.") and key in str(error)
    ]
    return ConfigError(f"{error} ({'; '.join(places)})")


def _with_value(config: EngineConfig, key: str, value: Any, source: Source) -> EngineConfig:
    section, name = key.split(".", 1)
    if section in OPEN_SECTIONS:
        raise ConfigError(f"{source} sets {key}; only settings of the schema have such defaults")
    try:
        part = replace(getattr(config, section), **{name: value})
    except ConfigError as error:
        raise ConfigError(f"{error} ({key}: {source})") from None
    return replace(config, **{section: part})
