"""Structural tags as a grammar of LLGuidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llguidance import StructTag

from jackfield.interfaces.structural_tags import read_structural_tags


def grammar_of_tags(text: str, blanks: Mapping[str, Any], *, are_tokens: bool) -> str:
    """The grammar for the tags of a request. Raises RequestError.

    `are_tokens`: triggers such as <tool_call> are special tokens of the model; otherwise they are text. `blanks` are
    the options for JSON.
    """
    options = {"x-guidance": dict(blanks)}
    tags = [
        StructTag(
            trigger=tag.trigger, begin=tag.begin, grammar={**tag.schema, **options}, end=tag.end
        )
        for tag in read_structural_tags(text)
    ]
    return StructTag.to_grammar(tags, assume_special=are_tokens)
