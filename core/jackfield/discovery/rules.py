"""The user's words on selections: `[select]`, with rules for parts of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.config import Layer, Scalar, Source
from jackfield.config.settings import did_you_mean
from jackfield.errors import ConfigError, UnknownSettingError


@dataclass(frozen=True, slots=True)
class Word:
    """A plugin that the user named: NAME or NAME@DISTRIBUTION, and where that stands."""

    name: str
    where: str


class SelectRules:
    """`select.<setting> = NAME`, or a list of {match, use}, of which the first that matches a subject decides."""

    def __init__(self, select: Mapping[str, Any], provenance: Mapping[str, Source]) -> None:
        self._select = select
        self._provenance = provenance
        self._asked: set[str] = set()

    def word(self, setting: str, match: Mapping[str, Scalar] | None = None) -> Word | None:
        """What the user said for a setting and the facts of a subject, if anything."""
        self._asked.add(setting)
        if setting not in self._select:
            return None
        where = self._where(setting)
        value = self._select[setting]
        if isinstance(value, str):
            return Word(value, where)
        if not isinstance(value, (list, tuple)):
            raise _wrong_form(where, value)
        for number, rule in enumerate(value, 1):
            if _matches(rule, match or {}, where):
                return Word(rule["use"], f"{where}, rule {number}")
        return None

    def check_all_read(self) -> None:
        """Raise UnknownSettingError for what no selection of this engine asked for."""
        for setting in self._select:
            if setting not in self._asked:
                raise UnknownSettingError(
                    f"nothing reads select.{setting} ({self._source(setting)})"
                    f"{did_you_mean(setting, self._asked)} "
                    f"This engine selects: {', '.join(sorted(self._asked))}"
                )

    def _where(self, setting: str) -> str:
        """ "jackfield.toml:6: select.attention"; variables and options name the setting themselves."""
        key, source = f"select.{setting}", self._source(setting)
        return str(source) if source.layer in (Layer.ENVIRONMENT, Layer.CLI) else f"{source}: {key}"

    def _source(self, setting: str) -> Source:
        return self._provenance.get(f"select.{setting}", Source(Layer.CODE, "code"))


def _matches(rule: Any, facts: Mapping[str, Scalar], where: str) -> bool:
    if not isinstance(rule, Mapping) or not isinstance(rule.get("use"), str):
        raise _wrong_form(where, rule)
    match = rule.get("match", {})
    if not isinstance(match, Mapping) or set(rule) - {"use", "match"}:
        raise _wrong_form(where, rule)
    for name in match:
        if name not in facts:
            raise UnknownSettingError(
                f"{where}: nothing to match on called {name!r}{did_you_mean(name, facts)} "
                f"Facts: {', '.join(facts) or 'none'}"
            )
    return all(facts[name] == value for name, value in match.items())


def _wrong_form(where: str, value: Any) -> ConfigError:
    return ConfigError(
        f"{where} must be a name or a list of rules {{match = {{...}}, use = NAME}}, got {value!r}"
    )
