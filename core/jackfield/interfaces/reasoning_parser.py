"""Reasoning parsers: what a model thinks and what it answers, told apart while the text comes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """What is known of the way a model writes: what parsers are checked with."""

    architecture: str = ""  # of the model's config
    template: str = ""  # source of its chat template; empty if it has none


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """What became clear with a piece of text."""

    reasoning: str = ""  # thought
    content: str = ""  # answer


class ReasoningStream(ABC):
    """Follows one output. However the text is cut, all deltas together are the same."""

    @abstractmethod
    def push(self, text: str) -> ReasoningDelta:
        """The next piece. What may be the beginning of a mark is held back."""

    @abstractmethod
    def finish(self) -> ReasoningDelta:
        """The rest: nothing follows."""


class ReasoningParser(Card):
    """Knows the marks around the thoughts of some models. `check(ChatFormat, facts)` refuses the others."""

    @abstractmethod
    def open(self, prompt: str) -> ReasoningStream:
        """A stream for one output to `prompt`, the text of the chat template: some end inside the thought."""
