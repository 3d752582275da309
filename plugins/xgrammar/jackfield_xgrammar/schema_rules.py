"""The part of JSON Schema that XGrammar obeys. XGrammar silently ignores the rest, so the rest is refused here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jackfield.errors import RequestError

_NOTES = frozenset(
    [
        "$schema",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
    ]
)
# If a schema has one of these keywords, XGrammar reads only that keyword.
_WHOLE = ("$ref", "enum", "const", "anyOf", "allOf")
_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_OTHERWISE = {
    "oneOf": "write anyOf if one of them fits at most",
    "not": "write what is allowed instead",
    "if": "write an anyOf of the cases",
    "allOf": "write one schema that says all",
}
CheckExpression = Callable[[str, str], None]


def settle_schema(
    schema: dict[str, Any], where: str, max_parts: int, check_expression: CheckExpression
) -> None:
    """Write the types that keywords imply into a schema, so that XGrammar does not ignore the keywords.

    Raises RequestError with the place of a part that would still be ignored, or for more than `max_parts` parts.
    """
    _Walk(schema, where, max_parts, check_expression).run()


class _Walk:
    """Walks through the schemas in a schema with a list, not by recursion."""

    def __init__(
        self, root: Mapping[str, Any], where: str, max_parts: int, check_expression: CheckExpression
    ) -> None:
        self._root = root
        self._where = where
        self._left = max_parts
        self._max_parts = max_parts
        self._check_expression = check_expression

    def run(self) -> None:
        """Check all schemas."""
        open_: list[tuple[str, Any]] = [(self._where, self._root)]
        while open_:
            where, schema = open_.pop()
            if schema is True:
                continue
            if not isinstance(schema, dict):
                raise RequestError(f"{where}: a schema must be an object, got {schema!r:.100}")
            self._count(len(schema) + 1, where)
            open_ += self._within(where, schema)

    def _count(self, num_parts: int, where: str) -> None:
        self._left -= num_parts
        if self._left < 0:
            raise RequestError(
                f"{where}: the schema has more than {self._max_parts} parts (options.xgrammar.max_parts)"
            )

    def _within(self, where: str, schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """The schemas in one schema, after a check that the schema itself is obeyed."""
        for name in ("$defs", "definitions"):
            yield from _named(f"{where}.{name}", schema.get(name, {}))
        keywords = [
            name for name in schema if name not in _NOTES and (name, where) != ("$id", self._where)
        ]
        whole = [name for name in keywords if name in _WHOLE]
        if whole:
            yield from self._within_whole(where, schema, whole[0], set(keywords) - {whole[0]})
        elif keywords:
            yield from self._within_typed(where, schema, keywords)

    def _within_whole(
        self, where: str, schema: Mapping[str, Any], name: str, beside: set[str]
    ) -> Iterator[tuple[str, Any]]:
        value = schema[name]
        if name in ("enum", "const"):
            values = value if name == "enum" else [value]
            if not isinstance(values, list) or not values:
                raise RequestError(f"{where}.enum must be a list of values, got {values!r:.100}")
            self._count(len(values), where)
            if beside == {"type"}:
                types = _types(schema, where)
                if all(any(_is_of(value, type_) for type_ in types) for value in values):
                    beside = set()
        if beside:
            raise RequestError(
                f"{where}: {_listed(beside)} would be passed over beside {name!r}; say all in one of them"
            )
        if name == "$ref":
            self._check_reference(where, value)
        elif name in ("anyOf", "allOf"):
            if not isinstance(value, list) or not value:
                raise RequestError(f"{where}.{name} must be a list of schemas, got {value!r:.100}")
            if name == "allOf" and len(value) > 1:
                raise RequestError(
                    f"{where}: allOf of several is not honoured; {_OTHERWISE['allOf']}"
                )
            yield from ((f"{where}.{name}[{i}]", part) for i, part in enumerate(value))

    def _within_typed(
        self, where: str, schema: dict[str, Any], keywords: list[str]
    ) -> Iterator[tuple[str, Any]]:
        if "type" not in schema and (meant := _meant_by(keywords)):
            schema["type"] = meant
        types = _types(schema, where) if "type" in schema else ()
        known = frozenset({"type"}).union(*(_OF_TYPE[type_] for type_ in types))
        if unknown := [name for name in keywords if name not in known]:
            name = unknown[0]
            other = next((t for t, names in _OF_TYPE.items() if name in names), None)
            advice = f'add "type": "{other}"' if other else _OTHERWISE.get(name, "leave it out")
            raise RequestError(f"{where}: {name!r} is not honoured here; {advice}")
        if "format" in schema and schema["format"] not in _FORMATS:
            raise RequestError(
                f"{where}: the format {schema['format']!r:.100} is not honoured; known are {_listed(_FORMATS)}"
            )
        if "pattern" in schema:
            if beside := {"format", "minLength", "maxLength"} & schema.keys():
                raise RequestError(
                    f"{where}: {_listed(beside)} would be passed over beside 'pattern'"
                )
            self._check_expression(str(schema["pattern"]), f"{where}.pattern")
        if "format" in schema and (beside := {"minLength", "maxLength"} & schema.keys()):
            raise RequestError(f"{where}: {_listed(beside)} would be passed over beside 'format'")
        properties = schema.get("properties", {})
        if missing := set(schema.get("required", ())) - set(properties):
            raise RequestError(
                f"{where}: {_listed(missing)} is required, and passed over unless 'properties' has it"
            )
        yield from _named(f"{where}.properties", properties)
        if escaped := [
            name for name in properties if json.dumps(name, ensure_ascii=False)[1:-1] != name
        ]:
            raise RequestError(
                f"{where}: the property {escaped[0]!r} is written with escapes in JSON, which is not honoured; rename it"
            )
        for name in ("additionalProperties", "items"):
            if schema.get(name, False) is not False:  # false allows none, which is obeyed
                yield f"{where}.{name}", schema[name]
        for index, part in enumerate(schema.get("prefixItems", ())):
            yield f"{where}.prefixItems[{index}]", part

    def _check_reference(self, where: str, reference: object) -> None:
        """Check that a reference leads to a schema of this document, and that references form no circle."""
        seen = set()
        while True:
            if reference in seen:
                raise RequestError(f"{where}: {reference!r:.100} leads to itself and says nothing")
            seen.add(reference)
            target = self._follow(reference)
            if not isinstance(target, dict | bool):
                raise RequestError(
                    f"{where}: {reference!r:.100} leads to no schema of this document; write it into $defs"
                )
            if not isinstance(target, dict) or "$ref" not in target:
                return
            reference = target["$ref"]

    def _follow(self, reference: object) -> Any:
        if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
            return None
        found: Any = self._root
        for step in reference.split("/")[1:]:
            if "%" in step or "~" in step:
                return None  # XGrammar does not decode them
            found = found.get(step) if isinstance(found, dict) else None
        return found


def _meant_by(keywords: list[str]) -> str | None:
    """The only type to which all keywords belong. Values of other types would also be valid, but are never meant."""
    return next(
        (t for t in ("object", "array", "string", "number") if _OF_TYPE[t].issuperset(keywords)),
        None,
    )


def _named(where: str, schemas: object) -> Iterator[tuple[str, Any]]:
    if not isinstance(schemas, dict):
        raise RequestError(f"{where} must be an object of schemas, got {schemas!r:.100}")
    yield from ((f"{where}.{name}", part) for name, part in schemas.items())


def _types(schema: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = schema["type"]
    types = tuple(value) if isinstance(value, list) else (value,)
    if not types or not all(isinstance(t, str) and t in _OF_TYPE for t in types):
        raise RequestError(f"{where}.type must be of {_listed(_OF_TYPE)}, got {value!r:.100}")
    return types


def _is_of(value: object, type_: str) -> bool:
    if isinstance(value, bool) or value is None:
        return type_ == ("null" if value is None else "boolean")
    classes: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": int | float,
    }
    return isinstance(value, classes.get(type_, ()))


def _listed(names: object) -> str:
    return ", ".join(sorted(map(repr, names)))  # type: ignore[call-overload]
