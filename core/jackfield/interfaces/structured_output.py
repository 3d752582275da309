"""Structured output: grammars that say which tokens may come next, whatever language they are written in."""

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
    """What an engine asks of plugins for structured output, once for each form that one of them compiles."""

    FEATURE: ClassVar[str] = "structured_output"

    form: str  # of SamplingParams.structured: "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The tokens of a model as a grammar needs them."""

    tokenizer: Tokenizer
    size: int  # bits of a mask: ids that the model can draw
    end_token_ids: tuple[int, ...]  # one of them ends an answer; none: the grammar alone does


class GrammarCompiler(ABC):
    """Makes grammars for one model. Called by several threads, never by the one that steps."""

    @abstractmethod
    def compile(self, structured: Structured) -> Grammar:
        """The grammar of a value of one of the card's forms. Raises RequestError if it makes no sense."""


class StructuredOutput(Card):
    """The card. Every installed plugin may serve: for each form the core selects one of those that compile it."""

    forms: ClassVar[frozenset[str]] = frozenset()  # words of SamplingParams.structured

    def check(self, need: StructuredOutputNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses forms that are not in `forms`."""
        if need.form in self.forms:
            return ()
        text = f"compiles {', '.join(sorted(self.forms))}, not {need.form}"
        return (Reason("form", text, "install a plugin that compiles it"),)

    @abstractmethod
    def create(self, vocabulary: Vocabulary, config: EngineConfig) -> GrammarCompiler:
        """The compiler for one model; heavy imports happen here. Called when a request first asks for it."""
