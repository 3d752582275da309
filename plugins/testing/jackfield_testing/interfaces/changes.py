"""The changes between two shapes of a module, and which of them break code that was written for the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from jackfield_testing.interfaces.shapes import Class, Module, Parameter, Signature, Value

_ABSTRACT, _PROTOCOL = "abc.ABC", "typing.Protocol"
_UNTOLD = "..."  # a value that a snapshot leaves out
Classes = Mapping[str, Class]  # by full name
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    place: str  # "jackfield.interfaces.card.Card.probe"
    text: str
    breaks: bool

    def __str__(self) -> str:
        return f"{'BREAKS' if self.breaks else 'adds'}  {self.place}: {self.text}"


def changes(old: Module, new: Module, known: Classes, current: Classes) -> Iterator[Change]:
    """All changes of a module. `known` are the classes of all snapshots, including base classes in other modules;
    `current` are those of all sources.
    """
    name = old.name
    for export in sorted(old.exports ^ new.exports):
        is_gone = export in old.exports
        yield Change(f"{name}.{export}", "is gone" if is_gone else "is new", is_gone)
    for place, value, now in _pairs(name, old.values, new.values):
        yield from _value_changes(place, value, now, needs_default=False)
    for place, function, after in _pairs(name, old.functions, new.functions):
        yield from _signature_changes(place, function, after, is_implemented=False)
    for place, before, cls in _pairs(name, old.classes, new.classes):
        if before is None or cls is None:
            yield Change(place, "is gone" if cls is None else "is new", cls is None)
        else:
            yield from _class_changes(
                place, before, _with_inherited(cls, before, current), known, current
            )


def _with_inherited(cls: Class, before: Class, current: Classes) -> Class:
    """The class with those members of its bases that it had itself before: moving them up takes nothing away."""
    fields, methods = dict(cls.fields), dict(cls.methods)
    for base in cls.bases:
        if (found := current.get(base)) is not None:
            above = _with_inherited(found, before, current)
            fields = {k: v for k, v in above.fields.items() if k in before.fields} | fields
            methods = {k: v for k, v in above.methods.items() if k in before.methods} | methods
    return replace(cls, fields=fields, methods=methods)


def _class_changes(
    place: str, old: Class, new: Class, known: Classes, current: Classes
) -> Iterator[Change]:
    if gone := [base for base in old.bases if not _descends(new, base, current)]:
        yield Change(place, f"extends no longer {', '.join(gone)}", True)
    if old.decorators != new.decorators:
        yield Change(place, f"was {_words(old.decorators)}, is {_words(new.decorators)}", True)
    if _is_positional(old) and not _keeps_order(old, new):
        yield Change(place, "its fields, which may be given by position, changed places", True)
    is_protocol = _PROTOCOL in old.bases
    for item, value, now in _pairs(place, old.fields, new.fields):
        # We make the objects of a protocol, so an addition breaks no plugin.
        yield from _value_changes(item, value, now, needs_default=not is_protocol)
    is_extended = _descends(old, _ABSTRACT, known)
    for item, method, after in _pairs(place, old.methods, new.methods):
        is_implemented = is_extended or (is_protocol and item.endswith(".__call__"))
        yield from _signature_changes(item, method, after, is_implemented=is_implemented)


def _is_positional(cls: Class) -> bool:
    return any(
        word.startswith("dataclass") and "kw_only=True" not in word for word in cls.decorators
    )


def _keeps_order(old: Class, new: Class) -> bool:
    names = [name for name in old.fields if name in new.fields]
    return list(new.fields)[: len(names)] == names


def _descends(cls: Class, ancestor: str, known: Classes) -> bool:
    for base in cls.bases:
        found = known.get(base)
        if base == ancestor or (found is not None and _descends(found, ancestor, known)):
            return True
    return False


def _value_changes(
    place: str, old: Value | None, new: Value | None, *, needs_default: bool
) -> Iterator[Change]:
    if old is None and new is not None:
        breaks = needs_default and new.value is None
        yield Change(place, "is new, without a default" if breaks else "is new", breaks)
    elif old is not None and new is None:
        yield Change(place, "is gone", True)
    elif old is not None and new is not None:
        if old.type != new.type:
            yield Change(place, f"was {old.type}, is {new.type}", True)
        if old.value != new.value:
            yield _default_change(place, old.value, new.value)


def _signature_changes(
    place: str, old: Signature | None, new: Signature | None, *, is_implemented: bool
) -> Iterator[Change]:
    """If `is_implemented`, plugins write the function and we call it, so a new argument breaks it even with a default."""
    if old is None and new is not None:
        must_write = is_implemented and (new.is_abstract or place.endswith(".__call__"))
        yield Change(place, "is new, and abstract" if must_write else "is new", must_write)
    elif old is not None and new is None:
        yield Change(place, "is gone", True)
    elif old is not None and new is not None:
        yield from _trait_changes(place, old, new)
        if old.returns != new.returns:
            yield Change(place, f"returned {old.returns}, returns {new.returns}", True)
        before = {parameter.name: parameter for parameter in old.parameters}
        after = {parameter.name: parameter for parameter in new.parameters}
        for item, parameter, now in _pairs(place, before, after):
            yield from _parameter_changes(item, parameter, now, is_implemented=is_implemented)


def _trait_changes(place: str, old: Signature, new: Signature) -> Iterator[Change]:
    if new.is_abstract and not old.is_abstract:
        yield Change(place, "is abstract now", True)
    if old.is_abstract and not new.is_abstract:
        yield Change(place, "has a default now", False)
    before, after = (
        [trait for trait in signature.traits if trait != "abstractmethod"]
        for signature in (old, new)
    )
    if before != after:
        yield Change(place, f"was {_words(before)}, is {_words(after)}", True)


def _parameter_changes(
    place: str, old: Parameter | None, new: Parameter | None, *, is_implemented: bool
) -> Iterator[Change]:
    if old is None and new is not None:
        optional = new.default is not None or new.place in ("*", "**")
        text = "a new parameter that plugins do not take" if is_implemented else "a new parameter"
        yield Change(place, text, is_implemented or not optional)
    elif old is not None and new is None:
        yield Change(place, "this parameter is gone", True)
    elif old is not None and new is not None:
        if old.type != new.type:
            yield Change(place, f"was {old.type}, is {new.type}", True)
        if old.place != new.place and not (old.place == "keyword" and new.place.isdigit()):
            yield Change(place, f"stood at {old.place}, stands at {new.place}", True)
        if old.default != new.default:
            yield _default_change(place, old.default, new.default)


def _default_change(place: str, old: str | None, new: str | None) -> Change:
    """The change of a default. A new default is allowed. Another default changes the meaning of calls that omit it."""
    breaks = old not in (None, _UNTOLD)
    return Change(place, f"was {old or 'required'}, is {new or 'required'}", breaks)


def _pairs(
    place: str, old: Mapping[str, T], new: Mapping[str, T]
) -> Iterator[tuple[str, T | None, T | None]]:
    for key in dict.fromkeys((*old, *new)):
        yield f"{place}.{key}", old.get(key), new.get(key)


def _words(traits: Sequence[str]) -> str:
    return ", ".join(traits) or "plain"
