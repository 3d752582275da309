"""Structured output: grammars that say which tokens may come next. The language of a grammar is the plugin's choice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jackfield.config import EngineConfig
from jackfield.decision import Reason
from jackfield.grammar import Grammar
from jackfield.interfaces.card import Card, Facts
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.sampling import Structured


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredOutputNeed:
    """What an engine asks of plugins for structured output, once for each form that a plugin compiles."""

    FEATURE: ClassVar[str] = "structured_output"

    form: str  # a form of SamplingParams.structured, such as "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens of a model as a grammar needs them."""

    tokenizer: Tokenizer
    size: int  # number of ids that the model can draw, which is the number of bits of a mask
    # One of these ids ends an answer. If there are none, the grammar alone ends it.
    end_token_ids: tuple[int, ...]


class GrammarCompiler(ABC):
    """Makes grammars for one model. Called by several threads, but never by the thread that steps."""

    @abstractmethod
    def compile(self, structured: Structured) -> Grammar:
        """The grammar for a value of one of the card's forms. Raises RequestError if the value makes no sense."""


class StructuredOutput(Card):
    """The card. Every installed plugin may serve: for each form the core selects one of the plugins that compile it."""

    forms: ClassVar[frozenset[str]] = frozenset()  # forms of SamplingParams.structured

    def check(self, need: StructuredOutputNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses forms that are not in `forms`."""
        if need.form in self.forms:
            return ()
        text = f"compiles {', '.join(sorted(self.forms))}, not {need.form}"
        return (Reason("form", text, "install a plugin that compiles it"),)

    @abstractmethod
    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        """Make the compiler for one model; heavy imports happen here. Called when a request first needs it."""
