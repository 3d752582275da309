"""Compiles grammars of requests, and follows outputs through them. Importing this module imports XGrammar and torch."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import xgrammar

from jackfield.errors import RequestError
from jackfield.grammar import Grammar, GrammarState
from jackfield.interfaces.structured_output import GrammarCompiler, Vocabulary
from jackfield.sampling import Structured
from jackfield_xgrammar.forms import compile_form
from jackfield_xgrammar.output import XgrammarOptions
from jackfield_xgrammar.vocabulary import read_vocabulary


class XgrammarCompiler(GrammarCompiler):
    """Compiles one grammar at a time, with a time limit from the options, and keeps the most recently used grammars."""

    def __init__(self, vocabulary: Vocabulary, options: XgrammarOptions) -> None:
        self._has_ends = bool(vocabulary.end_token_ids)
        # Its own cache keeps parts of grammars. XGrammar releases the interpreter's lock while it compiles.
        self._library = xgrammar.GrammarCompiler(
            read_vocabulary(vocabulary), max_threads=1, cache_limit_bytes=64 << 20
        )
        self._options = options
        self._cache: OrderedDict[Structured, XgrammarGrammar] = OrderedDict()
        self._lock = threading.Lock()
        # Held while a grammar is compiled, even after its request gave up.
        self._turn = threading.Lock()

    def compile(self, structured: Structured) -> Grammar:
        """The grammar. Raises RequestError if the value is wrong or not fully supported, or if compiling takes too long."""
        if (found := self._kept(structured)) is not None:
            return found
        limit_s = self._options.max_compile_s
        failures: list[Exception] = []
        done = threading.Event()
        if self._turn.acquire(timeout=limit_s):
            threading.Thread(
                target=self._compile, args=(structured, failures, done), daemon=True
            ).start()
            done.wait(limit_s)
        if failures:
            raise failures[0]
        if (found := self._kept(structured)) is None:
            raise RequestError(
                f"structured.{structured.form} was not compiled within options.xgrammar.max_compile_s = {limit_s} s; "
                "make it simpler, or ask again later"
            )
        return found

    def _kept(self, structured: Structured) -> XgrammarGrammar | None:
        with self._lock:
            if (found := self._cache.get(structured)) is not None:
                self._cache.move_to_end(structured)
            return found

    def _compile(
        self, structured: Structured, failures: list[Exception], done: threading.Event
    ) -> None:
        try:
            compiled = compile_form(self._library, structured, self._options)
            grammar = XgrammarGrammar(compiled, has_ends=self._has_ends)
            with self._lock:
                self._cache[structured] = grammar
                while len(self._cache) > self._options.num_cached:
                    self._cache.popitem(last=False)
        except Exception as error:
            failures.append(error)
        finally:
            self._turn.release()
            done.set()


class XgrammarGrammar(Grammar):
    """A compiled grammar."""

    def __init__(self, compiled: xgrammar.CompiledGrammar, *, has_ends: bool) -> None:
        self._compiled = compiled
        self._has_ends = has_ends

    def start(self) -> GrammarState:
        """A matcher at its beginning."""
        matcher = xgrammar.GrammarMatcher(
            self._compiled, terminate_without_stop_token=not self._has_ends
        )
        return XgrammarState(matcher)


class XgrammarState(GrammarState):
    """The matcher of one output."""

    def __init__(self, matcher: xgrammar.GrammarMatcher) -> None:
        self._matcher = matcher

    @property
    def is_finished(self) -> bool:
        """True if no token may follow."""
        return self._matcher.is_terminated()

    def accept(self, token_id: int) -> bool:
        """Move on by one token."""
        return self._matcher.accept_token(token_id)

    def rollback(self, num_tokens: int) -> None:
        """Take tokens back."""
        if num_tokens:
            self._matcher.rollback(num_tokens)

    def fill(self, mask: memoryview) -> None:
        """Set the bits of the tokens that may come next."""
        if not self._matcher.fill_next_token_bitmask(np.frombuffer(mask, dtype=np.int32)):
            mask[:] = b"\xff" * len(mask)

    def forced(self) -> Sequence[int]:
        """The longest tokens of the text that must follow."""
        return self._matcher.find_jump_forward_tokens()
