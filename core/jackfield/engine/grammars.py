"""Grammars of requests: which plugin compiles a form, and a store of recently compiled grammars."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

from jackfield.discovery.loading import FAULTS
from jackfield.errors import RequestError
from jackfield.grammar import Grammar
from jackfield.interfaces.structured_output import (
    GrammarCompiler,
    Vocabulary,
)
from jackfield.sampling import Structured

# A server asks for the same few grammars again and again.
_NUM_KEPT = 64
_KEPT_CHARACTERS = 1 << 20  # of what they were compiled from, together: large ones take much memory
Create = Callable[[Vocabulary], GrammarCompiler]


class Grammars:
    """Compiles grammars, on the thread that brings the request. A compiler is made when it is first needed."""

    def __init__(
        self,
        # For each form: a description of the plugin, and the function that makes its compiler.
        makers: Mapping[str, tuple[str, Create]],
        vocabulary: Vocabulary | None,  # None: there is no tokenizer
        missing_tokenizer: str = "",
    ) -> None:
        self._makers = makers
        self._vocabulary = vocabulary
        self._missing_tokenizer = missing_tokenizer
        self._compilers: dict[str, GrammarCompiler] = {}
        self._kept: OrderedDict[Structured, Grammar] = OrderedDict()
        self._num_characters = 0  # of all that is kept
        self._lock = threading.Lock()

    def compile(self, structured: Structured) -> Grammar:
        """The grammar that a request asks for. Raises RequestError."""
        with self._lock:
            if (grammar := self._kept.get(structured)) is not None:
                self._kept.move_to_end(structured)
                return grammar
        if structured.form not in self._makers:
            raise RequestError(
                f"structured: no plugin compiles the form {structured.form!r}; installed are plugins for "
                f"{', '.join(sorted(self._makers)) or 'none'}. Install one that does (jackfield.structured_output.v1)"
            )
        name, create = self._makers[structured.form]
        try:
            grammar = self._compiler(structured.form, create).compile(structured)
        except RequestError:
            raise
        except FAULTS as error:
            raise RequestError(
                f"structured.{structured.form}: {name} cannot compile it: {type(error).__name__}: {error}"
            ) from error
        with self._lock:
            self._keep(structured, grammar)
        return grammar

    def _keep(self, structured: Structured, grammar: Grammar) -> None:
        """Keep a new grammar, and forget the ones that were not asked for for longest. Call it with the lock held."""
        if structured not in self._kept:
            self._num_characters += _num_characters(structured)
        self._kept[structured] = grammar
        while len(self._kept) > _NUM_KEPT or self._num_characters > _KEPT_CHARACTERS:
            forgotten, _ = self._kept.popitem(last=False)
            self._num_characters -= _num_characters(forgotten)

    def _compiler(self, form: str, create: Create) -> GrammarCompiler:
        if self._vocabulary is None:
            raise RequestError(
                f"structured output needs a tokenizer, and there is none ({self._missing_tokenizer}). "
                "Name a model that has one with model.tokenizer"
            )
        with self._lock:
            if form not in self._compilers:
                self._compilers[form] = create(self._vocabulary)
            return self._compilers[form]


def _num_characters(structured: Structured) -> int:
    value = structured.value
    if isinstance(value, tuple):
        return sum(map(len, value))
    return len(value) if isinstance(value, str) else 0
