"""The user's choices in `[select]`, with rules for parts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jackfield.config import Scalar, Source, SourceKind
from jackfield.config.settings import did_you_mean
from jackfield.errors import ConfigError, UnknownSettingError


@dataclass(frozen=True, slots=True)
class Word:
    """A plugin that the user named: NAME or NAME@DISTRIBUTION, and the place of the setting."""

    name: str
    where: str


class SelectRules:
    """`select.<setting> = NAME`, or a list of {match, use}. The first rule that matches a subject decides."""

    def __init__(self, select: Mapping[str, Any], provenance: Mapping[str, Source]) -> None:
        self._select = select
        self._provenance = provenance
        # The facts of each subject that was asked for.
        self._asked: dict[str, list[Mapping[str, Scalar]]] = {}

    def word(self, setting: str, match: Mapping[str, Scalar] | None = None) -> Word | None:
        """The user's choice for a setting and the facts of a subject; None if there is none. Raises ConfigError."""
        facts = match or {}
        self._asked.setdefault(setting, []).append(facts)
        for rule in self._rules(setting):
            rule.check(facts)
        return next((rule.word for rule in self._rules(setting) if rule.matches(facts)), None)

    def words(self, setting: str) -> tuple[Word, ...]:
        """All plugins that the user named for a setting, also in rules that do not decide. Raises ConfigError."""
        return tuple(rule.word for rule in self._rules(setting))

    def idle(self) -> tuple[str, ...]:
        """Rules that decided nothing, a sentence for each. Call it after all selections."""
        return tuple(
            sentence
            for setting, subjects in self._asked.items()
            for sentence in _idle(self._rules(setting), subjects)
        )

    def _rules(self, setting: str) -> tuple[_Rule, ...]:
        if setting not in self._select:
            return ()
        where, value = self._where(setting), self._select[setting]
        if isinstance(value, str):
            return (_Rule({}, Word(value, where)),)
        if not isinstance(value, (list, tuple)) or not value:
            raise _wrong_form(where, value)
        return tuple(_rule(entry, where, number) for number, entry in enumerate(value, 1))

    def check_all_read(self) -> None:
        """Raise UnknownSettingError for settings that no selection of this engine has read."""
        for setting in self._select:
            if setting not in self._asked:
                raise UnknownSettingError(
                    f"nothing reads select.{setting} ({self._source(setting)})"
                    f"{did_you_mean(setting, self._asked)} "
                    f"This engine selects: {', '.join(sorted(self._asked))}"
                )

    def _where(self, setting: str) -> str:
        """ "jackfield.toml:6: select.attention". Variables and options name the setting themselves."""
        key, source = f"select.{setting}", self._source(setting)
        return (
            str(source)
            if source.kind in (SourceKind.ENVIRONMENT, SourceKind.CLI)
            else f"{source}: {key}"
        )

    def _source(self, setting: str) -> Source:
        return self._provenance.get(f"select.{setting}", Source(SourceKind.CODE, "code"))


@dataclass(frozen=True, slots=True)
class _Rule:
    match: Mapping[str, Any]
    word: Word

    def check(self, facts: Mapping[str, Scalar]) -> None:
        """Raise ConfigError for a rule that no subject with such facts could match."""
        where = self.word.where
        for name, wanted in self.match.items():
            if name not in facts:
                raise UnknownSettingError(
                    f"{where}: nothing to match on called {name!r}{did_you_mean(name, facts)} "
                    f"Facts: {', '.join(facts) or 'none'}"
                )
            for value in _alternatives(wanted):
                if not _is_comparable(value, facts[name]):
                    raise ConfigError(
                        f"{where}: {name} is a {_TYPES.get(type(facts[name]), 'single value')}, got {value!r}. "
                        "Write a value of that type, or a list of them"
                    )

    def matches(self, facts: Mapping[str, Scalar]) -> bool:
        """True if each fact in the rule has the value, or one of the values."""
        return all(facts[name] in _alternatives(wanted) for name, wanted in self.match.items())


_MAX_VALUES = 8  # most values in one sentence
_TYPES: Mapping[type, str] = {
    bool: "truth value (true or false)",
    int: "whole number",
    float: "number",
    str: "text",
}


def _rule(entry: Any, where: str, number: int) -> _Rule:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("use"), str):
        raise _wrong_form(where, entry)
    match = entry.get("match", {})
    if not isinstance(match, Mapping) or set(entry) - {"use", "match"}:
        raise _wrong_form(where, entry)
    for name, wanted in match.items():
        if not _alternatives(wanted):
            raise ConfigError(
                f"{where}, rule {number}: {name} must be one of no values, so the rule matches nothing. "
                "Name the values, or remove the rule"
            )
    return _Rule(match, Word(entry["use"], f"{where}, rule {number}"))


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    """The values of a rule as a tuple. A list means any of its values."""
    return tuple(wanted) if isinstance(wanted, (list, tuple)) else (wanted,)


def _is_comparable(value: Any, fact: Scalar) -> bool:
    """True if a fact of this type could have the value. None as a fact means: different within the subject, or none."""
    if value is None or fact is None:
        return value is None or type(value) in _TYPES
    if isinstance(fact, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(fact)  # True is an int in Python


def _idle(rules: Sequence[_Rule], subjects: Sequence[Mapping[str, Scalar]]) -> Iterator[str]:
    deciding = [next((r for r in rules if r.matches(facts)), None) for facts in subjects]
    for rule in rules:
        if rule in deciding or not rule.match:  # a rule without `match` may decide nothing
            continue
        where = rule.word.where
        if any(rule.matches(facts) for facts in subjects):
            yield f"{where}: decides nothing, since rules above it match all that it matches"
        else:
            yield f"{where}: matches nothing; {_seen(rule, subjects)}"


def _seen(rule: _Rule, subjects: Sequence[Mapping[str, Scalar]]) -> str:
    """The values that subjects have for the facts of a rule: "window is false, group is 0 or 1"."""
    return ", ".join(f"{name} {_values(facts[name] for facts in subjects)}" for name in rule.match)


def _values(facts: Iterable[Scalar]) -> str:
    found = dict.fromkeys(str(fact) for fact in facts if fact is not None)
    words = [word.lower() if word in ("True", "False") else word for word in found]
    if not words:
        return "differs inside every subject"
    return f"is {' or '.join(words[:_MAX_VALUES])}{' or ...' if words[_MAX_VALUES:] else ''}"


def _wrong_form(where: str, value: Any) -> ConfigError:
    return ConfigError(
        f"{where} must be a name or a list of rules {{match = {{...}}, use = NAME}}, got {value!r}"
    )
