"""Finds the place where two specs differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def difference(found: Any, expected: Any, place: str = "spec") -> str:
    """The first place, and both values; empty if they are equal."""
    if found == expected:
        return ""
    for name, one, other in _parts(found, expected):
        if said := difference(one, other, place + name):
            return said
    return f"{place} is {found!r}, not {expected!r}"


def _parts(found: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    if type(found) is not type(expected):
        return []
    if is_dataclass(found):
        names = [item.name for item in fields(found)]
        return [(f".{name}", getattr(found, name), getattr(expected, name)) for name in names]
    if isinstance(found, tuple) and len(found) == len(expected):
        return [(f"[{i}]", *pair) for i, pair in enumerate(zip(found, expected, strict=True))]
    if isinstance(found, Mapping) and found.keys() == expected.keys():
        return [(f"[{key!r}]", found[key], expected[key]) for key in found]
    return []
