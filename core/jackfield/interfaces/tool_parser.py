"""Tool parsers: they find the calls of tools in the text that a model writes, while the text arrives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """New parts of one call of a tool."""

    index: int  # index of the call in this output, from 0
    name: str | None = None  # name of the tool, with the first delta of a call
    arguments: str = ""  # JSON; all pieces of a call together are one object


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """What a piece of text turned out to be: content, calls, or both."""

    content: str = ""  # text that is not part of a call
    calls: tuple[ToolCallDelta, ...] = ()


class ToolStream(ABC):
    """Follows one output. All deltas together are the same, however the text is cut into pieces.

    Text that looks like a call but is none becomes content, unchanged, unless the name of the call was already given
    out.
    """

    @abstractmethod
    def push(self, text: str) -> ToolDelta:
        """Read the next piece. Text that may be the beginning of a mark is held back."""

    @abstractmethod
    def finish(self) -> ToolDelta:
        """Give out the rest; no more text follows."""


class ToolParser(Card):
    """Knows how some models write calls. `check(ChatFormat, facts)` refuses other models."""

    # True: the marks are special tokens, so the text must keep special tokens.
    keeps_special_tokens: ClassVar[bool] = False

    @abstractmethod
    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """Make a stream for one output. `tools` are the tools of the request, in the form of OpenAI's API."""
