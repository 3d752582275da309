"""Reasoning parsers: they separate what a model thinks from what it answers, while the text arrives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    """What is known of how a model writes. Parsers are checked with it."""

    architecture: str = ""  # architecture in the model's config
    template: str = ""  # source of the chat template; empty if there is none


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """What a piece of text turned out to be: thought, answer, or both."""

    reasoning: str = ""  # thought
    content: str = ""  # answer


class ReasoningStream(ABC):
    """Follows one output. All deltas together are the same, however the text is cut into pieces."""

    @abstractmethod
    def push(self, text: str) -> ReasoningDelta:
        """Read the next piece. Text that may be the beginning of a mark is held back."""

    @abstractmethod
    def finish(self) -> ReasoningDelta:
        """Give out the rest; no more text follows."""


class ReasoningParser(Card):
    """Knows the marks around the thoughts of some models. `check(ChatFormat, facts)` refuses other models."""

    @abstractmethod
    def open(self, prompt: str) -> ReasoningStream:
        """Make a stream for one output to `prompt`, the text of the chat template. Some prompts end inside the
        thought.
        """
