"""`jackfield explain --diff A B`: what differs between two explanations that were saved with `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jackfield.decision import Decision
from jackfield.discovery.comparison import DecisionChange, compare, decision_of
from jackfield.errors import ConfigError

_PLAIN = ("model", "memory")  # tables of an explanation that are compared key by key
_PASSING = ("max_cache_tokens",)  # depends on the memory that is free at the moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A saved explanation."""

    label: str  # which file, of which version, for which profile
    decisions: tuple[Decision, ...]
    values: Mapping[str, str]  # settings with who set them, and the other facts, by name


def read_explanation(path: Path) -> Explanation:
    """The explanation in a file. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Explanation(
            label=_label(path, document),
            decisions=tuple(decision_of(values) for values in document["decisions"]),
            values=_values(document),
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
    decisions = compare(old.decisions, new.decisions)
    values = [
        (name, old.values.get(name, "not there"), new.values.get(name, "not there"))
        for name in dict.fromkeys((*old.values, *new.values))
        if old.values.get(name) != new.values.get(name)
    ]
    if as_json:
        print(json.dumps(_document(decisions, values), indent=2))
    else:
        _print_text(old, new, decisions, values)
    return 1 if decisions or values else 0


def _print_text(
    old: Explanation,
    new: Explanation,
    decisions: tuple[DecisionChange, ...],
    values: list[tuple[str, str, str]],
) -> None:
    print(f"{old.label} -> {new.label}")
    for change in decisions:
        print(f"\n{change.report()}")
    if values:
        print()
    for name, before, after in values:
        print(f"{name}: {before} -> {after}")
    others = sum(change.is_other_choice for change in decisions)
    print(f"\ndifferent choices: {others}, decisions: {len(decisions)}, values: {len(values)}")


def _document(
    decisions: tuple[DecisionChange, ...], values: list[tuple[str, str, str]]
) -> dict[str, Any]:
    return {
        "decisions": [
            {**asdict(change), "is_other_choice": change.is_other_choice} for change in decisions
        ],
        "values": [
            {"name": name, "before": before, "after": after} for name, before, after in values
        ],
    }


def _label(path: Path, document: Mapping[str, Any]) -> str:
    profile = document.get("profile")
    machine = f", profile {profile}" if profile else ""
    return f"{path} (jackfield {document.get('jackfield', 'unknown')}{machine})"


def _values(document: Mapping[str, Any]) -> dict[str, str]:
    found = {
        f"{table} {key}": str(value)
        for table in _PLAIN
        for key, value in document.get(table, {}).items()
        if key not in _PASSING
    }
    settings = document.get("settings", [])
    return found | {f"setting {s['key']}": f"{s['value']} ({s['source']})" for s in settings}
