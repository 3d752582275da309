"""Structural tags: free text, in which some beginnings must be followed by what a schema says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llguidance import StructTag

from jackfield.errors import RequestError


def grammar_of_tags(text: str, blanks: Mapping[str, Any], *, are_tokens: bool) -> str:
    """The grammar of {"structures": [{"begin", "schema", "end"}], "triggers": [...]}, as vLLM's users write it.

    `are_tokens`: triggers such as <tool_call> are special tokens of the model, else they are text. `blanks` are the
    options of JSON. Raises RequestError.
    """
    try:
        given: Any = json.loads(text)
        structures, triggers = given["structures"], given["triggers"]
        tags = [_tag(structure, triggers, blanks) for structure in structures]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(
            'structured.structural_tag must be {"structures": [{"begin": TEXT, "schema": {...}, "end": TEXT}], '
            f'"triggers": [TEXT]}}, got {text:.200}: {type(error).__name__}: {error}'
        ) from None
    if not tags:
        raise RequestError("structured.structural_tag has no structures; give at least one")
    return StructTag.to_grammar(tags, assume_special=are_tokens)


def _tag(structure: Mapping[str, Any], triggers: list[str], blanks: Mapping[str, Any]) -> StructTag:
    begin, schema = structure["begin"], structure["schema"]
    schema = {} if schema is True else schema
    trigger = next((t for t in triggers if t and begin.startswith(t)), None)
    if trigger is None:
        raise RequestError(
            f"structured.structural_tag: {begin!r} begins with none of its triggers {triggers!r}"
        )
    if not isinstance(schema, dict):
        raise RequestError(f"structured.structural_tag: the schema of {begin!r} must be an object")
    options = {"x-guidance": dict(blanks)}
    return StructTag(
        trigger=trigger, begin=begin, grammar={**schema, **options}, end=structure["end"]
    )
