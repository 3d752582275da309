"""Compiles the value of a request to a grammar, for each form."""

from __future__ import annotations

import json
import re
from typing import Any

from xgrammar import CompiledGrammar, GrammarCompiler

from jackfield.errors import RequestError
from jackfield.interfaces.structural_tags import read_structural_tags
from jackfield.sampling import Structured
from jackfield_xgrammar.output import XgrammarOptions
from jackfield_xgrammar.schema_rules import settle_schema

# Blanks as json.dumps writes them. If any number were allowed, a model could write blanks forever.
_BLANKS: Any = {"any_whitespace": False, "separators": (", ", ": "), "strict_mode": False}
# XGrammar reads these differently, with a warning: inner anchors, and escaped letters that mean no class or character.
_INNER_ANCHOR = re.compile(r"(?<!\\)(?:\\\\)*(?:(?<!^)(?<!\[)\^|\$(?!$))")
_OTHER_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\([^dDwWsSntrfv0xucbBpPk1-9\W_])")
_POSIX_CLASS = re.compile(r"\[\[?:\w+:\]")


def compile_form(
    library: GrammarCompiler, structured: Structured, options: XgrammarOptions
) -> CompiledGrammar:
    """The grammar of a value. Raises RequestError if it is wrong or not fully supported: no part is ignored."""
    form, value = structured.form, structured.value
    try:
        if form == "json_object":
            return library.compile_json_schema('{"type": "object"}', **_BLANKS)
        if form == "choice":
            return library.compile_grammar(_of_choice(value, options))
        text = json.dumps(value) if isinstance(value, bool) else value
        if not isinstance(text, str):
            raise RequestError(f"structured.{form} must be a text, got {value!r:.200}")
        _check_size(form, text, options)
        if form == "json":
            return library.compile_json_schema(_of_schema(text, options), **_BLANKS)
        if form == "regex":
            check_expression(text, "structured.regex")
            return library.compile_regex(text)
        if form == "grammar":
            return library.compile_grammar(text) if "::=" in text else library.compile_lark(text)
        return library.compile_structural_tag(_of_tags(text, options))
    except RuntimeError as error:  # the first line of XGrammar's error names its source file
        raise RequestError(f"structured.{form}: {_words(error)}") from None


def check_expression(text: str, where: str) -> None:
    """Raise RequestError if XGrammar would read a regular expression with another meaning."""
    outside = re.sub(r"(?<!\\)\[\^?\]?(?:\\.|[^\]\\])*\]", "x", text)  # without sets of characters
    if _INNER_ANCHOR.search(outside):
        raise RequestError(f"{where}: ^ and $ are only honoured at the ends of {text!r:.200}")
    for pattern, what in ((_OTHER_ESCAPE, "escape"), (_POSIX_CLASS, "class")):
        if found := pattern.search(text):
            raise RequestError(f"{where}: the {what} {found[0]!r} is not known; write it out")


def _check_size(form: str, text: str, options: XgrammarOptions) -> None:
    if len(text) > options.max_bytes:
        raise RequestError(
            f"structured.{form} has {len(text)} characters; options.xgrammar.max_bytes = {options.max_bytes}"
        )


def _of_choice(value: object, options: XgrammarOptions) -> str:
    if (
        not isinstance(value, tuple)
        or not value
        or not all(isinstance(t, str) and t for t in value)
    ):
        raise RequestError(f"structured.choice must be a list of texts, got {value!r:.200}")
    if len(value) > options.max_parts:
        raise RequestError(
            f"structured.choice has {len(value)} texts; options.xgrammar.max_parts = {options.max_parts}"
        )
    texts = [json.dumps(text, ensure_ascii=False) for text in value]
    _check_size("choice", "".join(texts), options)
    return f"root ::= {' | '.join(texts)}"


def _of_schema(text: str, options: XgrammarOptions) -> str:
    try:
        schema: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"structured.json is no JSON: {error}") from None
    if schema is True:
        return "{}"
    if not isinstance(schema, dict):
        raise RequestError(f"structured.json must be a JSON schema, an object, got {text:.200}")
    settle_schema(schema, "structured.json", options.max_parts, check_expression)
    return json.dumps(schema)


def _of_tags(text: str, options: XgrammarOptions) -> str:
    """Structural tags in XGrammar's own form."""
    tags = read_structural_tags(text)
    for tag in tags:
        where = f"structured.structural_tag, the schema of {tag.begin!r}"
        settle_schema(tag.schema, where, options.max_parts, check_expression)
    tagged = {
        "type": "triggered_tags",
        "triggers": list(dict.fromkeys(tag.trigger for tag in tags)),
        "tags": [
            {
                "begin": tag.begin,
                "content": {"type": "json_schema", "json_schema": tag.schema},
                "end": tag.end,
            }
            for tag in tags
        ],
    }
    return json.dumps({"type": "structural_tag", "format": tagged})


def _words(error: RuntimeError) -> str:
    text = str(error).strip().partition("\n")[0]
    return re.sub(r"^\[[\d:]+\] \S+: ", "", text)
