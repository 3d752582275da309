"""`jackfield explain --diff A B`: what differs between two explanations that were saved with `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jackfield.cli.explanation import problem_line
from jackfield.decision import Decision
from jackfield.discovery.comparison import (
    DecisionChange,
    VersionChange,
    compare,
    decision_of,
    version_changes,
)
from jackfield.errors import ConfigError
from jackfield.startup.explanation import FORMAT

_PLAIN = ("model", "memory")  # tables of an explanation that are compared key by key
# What depends on the memory that is free at the moment.
_PASSING = ("max_cache_tokens", "available_bytes")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and who set it, which is told but is no difference by itself."""

    text: str
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.text} ({self.source})" if self.source else self.text


_ABSENT = Value("not there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A saved explanation."""

    label: str  # which file, of which version, for which profile
    decisions: tuple[Decision, ...]
    values: Mapping[str, Value]  # settings, problems, the model and its memory, by name
    facts: Mapping[str, Mapping[str, Any]]  # by plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Nothing in it where two explanations say the same."""

    decisions: tuple[DecisionChange, ...]
    versions: tuple[VersionChange, ...]
    values: list[tuple[str, str, str]]  # name, before, after

    @classmethod
    def between(cls, old: Explanation, new: Explanation) -> Differences:
        """All that differs."""
        values = [
            (name, str(old.values.get(name, _ABSENT)), str(new.values.get(name, _ABSENT)))
            for name in dict.fromkeys((*old.values, *new.values))
            if old.values.get(name) != new.values.get(name)
        ]
        return cls(
            decisions=compare(old.decisions, new.decisions),
            versions=version_changes(old.decisions, new.decisions),
            values=values + _fact_changes(old.facts, new.facts),
        )

    def __bool__(self) -> bool:
        return bool(self.decisions or self.versions or self.values)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": FORMAT,
            "decisions": [
                {**asdict(change), "is_other_choice": change.is_other_choice}
                for change in self.decisions
            ],
            "versions": [asdict(change) for change in self.versions],
            "values": [
                {"name": name, "before": before, "after": after}
                for name, before, after in self.values
            ],
        }


def read_explanation(path: Path) -> Explanation:
    """The explanation in a file. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (found := document.get("format")) != FORMAT:
            raise ValueError(f"format is {found!r}, this jackfield reads {FORMAT}")
        return Explanation(
            label=_label(path, document),
            decisions=tuple(decision_of(values) for values in document["decisions"]),
            values=_values(document),
            facts={plugin: dict(facts) for plugin, facts in document.get("facts", {}).items()},
        )
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the explanation {path}: {reason}. "
        "Write one with: jackfield explain MODEL --json > FILE"
    )


def print_differences(before: Path, after: Path, *, as_json: bool) -> int:
    """Print what differs; as `diff` does, 1 if anything does and 0 if nothing."""
    old, new = read_explanation(before), read_explanation(after)
    found = Differences.between(old, new)
    if as_json:
        print(json.dumps(found.document(), indent=2))
    else:
        print(f"{old.label} -> {new.label}")
        _print_text(found)
    return 1 if found else 0


def _print_text(found: Differences) -> None:
    for change in found.decisions:
        print(f"\n{change.report()}")
    if found.versions:
        print("\nversions")
    for version in found.versions:
        print(f"  {version}")
    if found.values:
        print()
    for name, before, after in found.values:
        print(f"{name}: {before} -> {after}")
    others = sum(change.is_other_choice for change in found.decisions)
    print(
        f"\ndifferent choices: {others}, decisions: {len(found.decisions)}, "
        f"versions: {len(found.versions)}, values: {len(found.values)}"
    )


def _label(path: Path, document: Mapping[str, Any]) -> str:
    profile = document.get("profile")
    machine = f", profile {profile}" if profile else ""
    return f"{path} (jackfield {document.get('jackfield', 'unknown')}{machine})"


def _values(document: Mapping[str, Any]) -> dict[str, Value]:
    tables = {
        f"{table} {key}": Value(str(value))
        for table in _PLAIN
        for key, value in (document.get(table) or {}).items()
        if key not in _PASSING
    }
    settings = {
        f"setting {setting['key']}": Value(str(setting["value"]), setting["source"])
        for setting in document.get("settings", [])
    }
    problems = enumerate(map(problem_line, document.get("problems", [])), 1)
    return {**tables, **settings, **{f"problem {n}": Value(line) for n, line in problems}}


def _fact_changes(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str, str]]:
    """Of plugins that were probed in both. What is probed depends on who was asked, so the rest is no difference."""
    return [
        (f"fact {plugin} {name}", str(before.get(name, _ABSENT)), str(after.get(name, _ABSENT)))
        for plugin, before in old.items()
        if (after := new.get(plugin)) is not None
        for name in dict.fromkeys((*before, *after))
        if name not in _PASSING and before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]
