"""Structural tags as requests write them: free text in which some beginnings must be followed by JSON of a schema.

Plugins of structured output whose forms include `structural_tag` read the tags with this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jackfield.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralTag:
    """One beginning, and the schema and ending that follow it."""

    # Beginning of `begin`. When a text contains the trigger, the text must go on as a tag.
    trigger: str
    begin: str
    schema: dict[str, Any]  # schema of the JSON behind `begin`
    end: str


def read_structural_tags(text: str) -> Sequence[StructuralTag]:
    """Read {"structures": [{"begin", "schema", "end"}], "triggers": [...]}, at least one tag. Raises RequestError."""
    try:
        given: Any = json.loads(text)
        triggers, structures = given["triggers"], given["structures"]
        tags = [_tag(structure, triggers) for structure in structures]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(
            'structured.structural_tag must be {"structures": [{"begin": TEXT, "schema": {...}, "end": TEXT}], '
            f'"triggers": [TEXT]}}, got {text:.200}: {type(error).__name__}: {error}'
        ) from None
    if not tags:
        raise RequestError("structured.structural_tag has no structures; give at least one")
    return tags


def _tag(structure: Mapping[str, Any], triggers: list[str]) -> StructuralTag:
    begin, schema, end = structure["begin"], structure["schema"], structure["end"]
    trigger = next((trigger for trigger in triggers if trigger and begin.startswith(trigger)), None)
    if trigger is None:
        raise RequestError(
            f"structured.structural_tag: {begin!r} begins with none of its triggers {triggers!r}"
        )
    schema = {} if schema is True else schema
    if not isinstance(schema, dict):
        raise RequestError(f"structured.structural_tag: the schema of {begin!r} must be an object")
    return StructuralTag(trigger=trigger, begin=begin, schema=schema, end=end)
