"""Named features: every non-default field of a spec or a need has a name, which a plugin must know to serve it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Protocol


class HasFeatures(Protocol):
    """A frozen dataclass with a name for its features.

    PLAIN_FIELDS, a frozenset, may name fields that are no features, because plugins need not read them. A member of a
    union with IS_FEATURE = True is a feature of the field that holds it: `layer.feed_forward=experts`.
    """

    FEATURE: ClassVar[str]


def features_in_use(value: Any) -> frozenset[str]:
    """Names of all fields, at any depth, whose values differ from their defaults.

    A field of a dataclass with the class attribute FEATURE = "attention" gives `attention.window`, or
    `norm.kind=layer` if the value is a word. Fields without a default are facts that every plugin must read.
    """
    return frozenset(
        f"{name}={current}" if isinstance(current, str) else name
        for name, default, current in _walk(value)
        if current != default
    )


def possible_features(value: Any) -> frozenset[str]:
    """Names that `features_in_use` could give for a value like this one, without the word behind "="."""
    return frozenset(name for name, _, _ in _walk(value))


def _walk(value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, default and value of every field with a default, without plain fields."""
    if is_dataclass(value) and not isinstance(value, type):
        word = getattr(type(value), "FEATURE", None)
        if word is None:
            return
        for item, default in _defaults(type(value)):
            current = getattr(value, item.name)
            if default is not MISSING:
                yield f"{word}.{item.name}", default, current
            elif getattr(type(current), "IS_FEATURE", False):
                yield f"{word}.{item.name}", None, type(current).FEATURE
            yield from _walk(current)
    elif isinstance(value, (tuple, list)):
        for entry in dict.fromkeys(value):
            yield from _walk(entry)


@cache
def _defaults(cls: type) -> tuple[tuple[Field[Any], Any], ...]:
    plain: frozenset[str] = getattr(cls, "PLAIN_FIELDS", frozenset())

    def default(item: Field[Any]) -> Any:
        return item.default_factory() if item.default_factory is not MISSING else item.default

    return tuple((item, default(item)) for item in fields(cls) if item.name not in plain)
