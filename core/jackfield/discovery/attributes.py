"""What cards state as class attributes is of the type that the contract says, so that nothing trips over it later."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import is_dataclass
from typing import Any

from jackfield.interfaces.card import Card
from jackfield.interfaces.command import Command
from jackfield.interfaces.platform import Platform


def check_attributes(card: Any) -> None:
    """Raise TypeError for an attribute of the wrong type; `card` may be a hook, which is anything."""
    for base, rules in _RULES.items():
        if isinstance(card, base):
            for name, (is_right, expected) in rules.items():
                value = getattr(card, name)
                if not is_right(value):
                    raise TypeError(
                        f"{type(card).__name__}.{name} must be {expected}, got {value!r:.200}"
                    )


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_features(value: Any) -> bool:
    return isinstance(value, Set) and all(map(_is_text, value))


def _is_options(value: Any) -> bool:
    return value is None or (isinstance(value, type) and is_dataclass(value))


def _is_precedence(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_serves(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(name) and _is_each(majors, int) for name, majors in value.items()
    )


def _is_bases(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_each(value, str) and _is_each(value.values(), type)


def _is_each(values: Any, expected: type) -> bool:
    return (
        isinstance(values, Iterable)
        and not isinstance(values, str)
        and all(isinstance(value, expected) for value in values)
    )


_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]
_RULES: Mapping[type, _Rules] = {
    Card: {
        "features": (_is_features, "a frozenset of names"),
        "options": (_is_options, "a dataclass or None"),
        "facts_last": (_is_bool, "True or False"),
        "only_named": (_is_bool, "True or False"),
    },
    Platform: {
        "serves": (_is_serves, "a mapping of kinds to tuples of majors"),
        "bases": (_is_bases, "a mapping of kinds to classes"),
        "precedence": (_is_precedence, "a finite number"),
    },
    Command: {"summary": (_is_text, "text")},
}
