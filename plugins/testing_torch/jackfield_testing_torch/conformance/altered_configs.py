"""A config with one key altered at a time, also inside its tables, and a description of each change."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]  # keys, from the outermost table
_ABSENT = object()
_NONSENSE = "nonsense"


def with_keys_left_out(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The config without one of its keys, and with null for one of them."""
    for path in _paths(config):
        yield f"without the key {'.'.join(path)}", _altered(config, path, _ABSENT)
        yield f"with {'.'.join(path)}=null", _altered(config, path, None)


def with_keys_changed(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The config with another value for one of its keys."""
    for path in _paths(config):
        for value in _others(_value(config, path)):
            yield f"{'.'.join(path)}={value!r}", _altered(config, path, value)


def with_nonsense(config: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The config with a meaningless word for one of its keys."""
    for path in _paths(config):
        yield f"{'.'.join(path)}={_NONSENSE!r}", _altered(config, path, _NONSENSE)


def _paths(table: Mapping[str, Any]) -> Iterator[Path]:
    for key, value in table.items():
        if key == "architectures":
            continue
        yield (key,)
        if isinstance(value, Mapping):
            yield from ((key, *path) for path in _paths(value))


def _value(table: Mapping[str, Any], path: Path) -> Any:
    return _value(table[path[0]], path[1:]) if path else table


def _altered(config: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    altered = copy.deepcopy(dict(config))
    table = _value(altered, path[:-1])
    if value is _ABSENT:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return altered


def _others(value: Any) -> tuple[Any, ...]:
    """Null, and other values of the same type. Words only become activations, because no other words change answers."""
    if isinstance(value, bool):
        return (not value, None)
    if isinstance(value, int):
        return (value + 1, 2 * value, None)
    if isinstance(value, float):
        return (1.5 * value, value + 0.5, None)
    if isinstance(value, str):
        return ("gelu", "relu", None)
    if isinstance(value, list):
        return (value[::-1], None)
    return (True, 2, 0.5, "relu") if value is None else (None,)
