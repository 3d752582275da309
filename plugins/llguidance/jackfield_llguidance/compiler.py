"""Compiles grammars of requests, and follows outputs through them. Importing this module imports llguidance."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher

from jackfield.errors import RequestError
from jackfield.grammar import Grammar, GrammarState
from jackfield.interfaces.structured_output import GrammarCompiler, Vocabulary
from jackfield.sampling import Structured
from jackfield_llguidance.output import LlguidanceOptions
from jackfield_llguidance.structural_tags import grammar_of_tags
from jackfield_llguidance.vocabulary import make_tokenizer

_NO_LOG = 0
# Blanks as json.dumps writes them. If any number were allowed, a model could write blanks forever.
_BLANKS: Any = {
    "whitespace_flexible": False,
    "key_separator": ": ",
    "item_separator": ", ",
}


class LlguidanceCompiler(GrammarCompiler):
    """Compiles grammars, and keeps the most recently used ones."""

    def __init__(self, vocabulary: Vocabulary, options: LlguidanceOptions) -> None:
        self._tokenizer = make_tokenizer(vocabulary)
        self._options = options
        self._cache: OrderedDict[Structured, LlguidanceGrammar] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, structured: Structured) -> Grammar:
        """The grammar. Raises RequestError if the value is wrong or not fully supported: no part of a schema is ignored."""
        with self._lock:
            if (found := self._cache.get(structured)) is not None:
                self._cache.move_to_end(structured)
                return found
        for source in self._sources(structured):
            matcher = LLMatcher(self._tokenizer, source, log_level=_NO_LOG)
            if not matcher.is_error():
                break
        else:
            raise RequestError(f"structured.{structured.form}: {_first_line(matcher.get_error())}")
        grammar = LlguidanceGrammar(matcher)
        with self._lock:
            self._cache[structured] = grammar
            if len(self._cache) > self._options.num_cached:
                self._cache.popitem(last=False)
        return grammar

    def _sources(self, structured: Structured) -> Iterator[str]:
        """Possible grammars; the first one that compiles is used."""
        form, value = structured.form, structured.value
        if form == "json_object":
            yield LLMatcher.grammar_from_json_schema({"type": "object"}, defaults=_BLANKS)
            return
        text = json.dumps(value) if isinstance(value, bool) else value
        if not isinstance(text, str):
            raise RequestError(f"structured.{form} must be a text, got {value!r:.200}")
        if len(text) > self._options.max_bytes:
            raise RequestError(
                f"structured.{form} has {len(text)} characters; options.llguidance.max_bytes = {self._options.max_bytes}"
            )
        if form == "json":
            yield _of_schema(text)
        elif form == "regex":
            yield LLMatcher.grammar_from_regex(text)
        elif form == "grammar":
            yield LLMatcher.grammar_from_lark(text)
        else:  # triggers in brackets are tokens in some models, and text in others
            yield grammar_of_tags(text, _BLANKS, are_tokens=True)
            yield grammar_of_tags(text, _BLANKS, are_tokens=False)


class LlguidanceGrammar(Grammar):
    """A matcher at its beginning, of which each output gets a copy."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def start(self) -> GrammarState:
        """A copy of the matcher."""
        return LlguidanceState(self._matcher.deep_copy())


class LlguidanceState(GrammarState):
    """The matcher of one output."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def is_finished(self) -> bool:
        """True if no token may follow."""
        return self._matcher.is_stopped()

    def accept(self, token_id: int) -> bool:
        """Move on by one token."""
        return self._matcher.try_consume_tokens([token_id]) == 1

    def rollback(self, num_tokens: int) -> None:
        """Take tokens back."""
        if num_tokens:
            self._matcher.rollback(num_tokens)

    def forced(self) -> list[int]:
        """The tokens of the text that must follow, as the tokenizer writes it."""
        return self._matcher.compute_ff_tokens()

    def fill(self, mask: memoryview) -> None:
        """Set the bits of the tokens that may come next."""
        found = self._matcher.compute_bitmask()[: mask.nbytes]  # it may have one word too many
        mask[: len(found)] = found


def _of_schema(text: str) -> str:
    try:
        schema: Any = json.loads(text)
    except ValueError as error:
        raise RequestError(f"structured.json is no JSON: {error}") from None
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise RequestError(f"structured.json must be a JSON schema, an object, got {text:.200}")
    return LLMatcher.grammar_from_json_schema(text if schema else "{}", defaults=_BLANKS)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
