"""Checks that the class attributes of cards have the types that the contract states, so that errors show early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import is_dataclass
from typing import Any


def check_attributes(card: Any) -> None:
    """Raise TypeError for an attribute of the wrong type. `card` may be a hook, which may be any object."""
    for base in type(card).__mro__:
        for name, (is_right, expected) in _RULES.get(
            f"{base.__module__}.{base.__name__}", {}
        ).items():
            value = getattr(card, name)
            if not is_right(value):
                raise TypeError(
                    f"{type(card).__name__}.{name} must be {expected}, got {value!r:.200}"
                )


def _is_each(values: Any, expected: type) -> bool:
    return isinstance(values, Set | Mapping | tuple) and all(
        isinstance(v, expected) for v in values
    )


def _is_options(value: Any) -> bool:
    return value is None or (isinstance(value, type) and is_dataclass(value))


def _is_mapping(value: Any, is_right: Callable[[Any], bool]) -> bool:
    """True for a mapping of names to values for which `is_right` is true."""
    return (
        isinstance(value, Mapping) and _is_each(value, str) and all(map(is_right, value.values()))
    )


_BOOL = (lambda value: isinstance(value, bool), "True or False")
_FEATURES = (lambda v: isinstance(v, Set) and _is_each(v, str), "a frozenset of names")
_MAJORS = (
    lambda v: _is_mapping(v, lambda m: _is_each(m, int)),
    "a mapping of kinds to tuples of majors",
)
_BASES = (lambda v: _is_mapping(v, lambda b: isinstance(b, type)), "a mapping of kinds to classes")
_NUMBER = (lambda v: isinstance(v, int | float) and math.isfinite(v), "a finite number")
# Rules by base class. The base class need not be imported for this.
_RULES: Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "jackfield.interfaces.card.Card": {
        "features": _FEATURES,
        "options": (_is_options, "a dataclass or None"),
        "facts_last": _BOOL,
        "only_named": _BOOL,
    },
    "jackfield.interfaces.platform.Platform": {
        "serves": _MAJORS,
        "bases": _BASES,
        "precedence": _NUMBER,
    },
    "jackfield.interfaces.command.Command": {
        "summary": (lambda value: isinstance(value, str), "text")
    },
}
