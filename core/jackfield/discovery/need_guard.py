"""A need is shown to many candidates: one that changes it must not change what the others are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

_Field = tuple[Any, str, Any]  # owner, name, value
_DEPTH = 2  # a need, and the model in it; layers are many, and checking costs less than 10 us so


class NeedGuard:
    """Remembers the fields of a need, frozen dataclasses in dataclasses."""

    def __init__(self, need: Any) -> None:
        self._fields = tuple(_fields_of(need, _DEPTH))

    def undo(self) -> list[str]:
        """Put back what was changed since, and say what it was."""
        changed = [field for field in self._fields if getattr(field[0], field[1]) is not field[2]]
        for owner, name, value in changed:
            object.__setattr__(owner, name, value)
        return [f"{type(owner).__name__}.{name}" for owner, name, _ in changed]


def _fields_of(owner: Any, depth: int) -> Iterator[_Field]:
    if not depth or not is_dataclass(owner) or isinstance(owner, type):
        return
    for field in fields(owner):
        value = getattr(owner, field.name)
        yield owner, field.name, value
        yield from _fields_of(value, depth - 1)
