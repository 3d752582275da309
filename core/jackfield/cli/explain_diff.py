"""`jackfield explain --diff A B`: compares two explanations that were saved with `--json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jackfield.cli.explanation import problem_line
from jackfield.decision import decision_of
from jackfield.discovery.comparison import compare, version_changes
from jackfield.errors import ConfigError
from jackfield.startup.explanation import FORMAT

# These values depend on the memory that is free at the moment.
_PASSING = ("max_cache_tokens", "available_bytes")
_ABSENT = "not there"


def print_differences(before: Path, after: Path, *, as_json: bool) -> int:
    """Print the differences. As for `diff`, the status is 1 if there are any, otherwise 0."""
    old, new = _read(before), _read(after)
    decisions = compare(old["decisions"], new["decisions"])
    versions = version_changes(old["decisions"], new["decisions"])
    values = [*_value_changes(old["values"], new["values"]), *_fact_changes(old, new)]
    if as_json:
        document = {
            "format": FORMAT,
            "decisions": [{**asdict(d), "is_other_choice": d.is_other_choice} for d in decisions],
            "versions": [
                dict(zip(("distribution", "before", "after"), v, strict=True)) for v in versions
            ],
            "values": [dict(zip(("name", "before", "after"), v, strict=True)) for v in values],
        }
        print(json.dumps(document, indent=2))
    else:
        print(f"{_label(before, old)} -> {_label(after, new)}")
        for change in decisions:
            print(f"\n{change.report()}")
        for title, changes in (("\nversions", versions), ("", values)):
            if changes:
                print("\n".join([title, *(f"{name}: {a} -> {b}" for name, a, b in changes)]))
        others = sum(change.is_other_choice for change in decisions)
        print(
            f"\ndifferent choices: {others}, decisions: {len(decisions)}, versions: {len(versions)}, "
            f"values: {len(values)}"
        )
    return 1 if decisions or versions or values else 0


def _read(path: Path) -> dict[str, Any]:
    """The explanation in a file, with decisions as objects and values by name. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (found := document.get("format")) != FORMAT:
            raise ValueError(f"format is {found!r}, this jackfield reads {FORMAT}")
        decisions = [decision_of(values) for values in document["decisions"]]
        return {**document, "decisions": decisions, "values": dict(_values(document))}
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise ConfigError(
        f"cannot read the explanation {path}: {reason}. "
        "Write one with: jackfield explain MODEL --json > FILE"
    )


def _label(path: Path, document: Mapping[str, Any]) -> str:
    profile = document.get("profile")
    machine = f", profile {profile}" if profile else ""
    return f"{path} (jackfield {document.get('jackfield', 'unknown')}{machine})"


def _values(document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name, value and source of model, memory, settings and problems."""
    for table in ("model", "memory"):
        for key, value in (document.get(table) or {}).items():
            if key not in _PASSING:
                yield f"{table} {key}", (str(value), "")
    for setting in document.get("settings", []):
        yield f"setting {setting['key']}", (str(setting["value"]), f" ({setting['source']})")
    for number, problem in enumerate(document.get("problems", []), 1):
        yield f"problem {number}", (problem_line(problem), "")


def _value_changes(
    old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """Changed values. The same value from another source is no change."""
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name, (_ABSENT, "")), new.get(name, (_ABSENT, ""))
        if before[0] != after[0]:
            yield name, "".join(before), "".join(after)


def _fact_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Changed facts of plugins that were probed in both: which plugins are probed depends on the selection."""
    there = new.get("facts", {})
    for plugin, before in old.get("facts", {}).items():
        after = there.get(plugin, before)
        for name in dict.fromkeys((*before, *after)):
            values = before.get(name, _ABSENT), after.get(name, _ABSENT)
            if name not in _PASSING and values[0] != values[1]:
                yield f"fact {plugin} {name}", str(values[0]), str(values[1])
