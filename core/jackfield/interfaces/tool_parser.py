"""Tool parsers: calls of tools in what a model writes, told apart while the text comes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jackfield.interfaces.card import Card


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """What a call gained."""

    index: int  # from 0, of the calls of this output
    name: str | None = None  # of the tool, with the first delta of a call
    arguments: str = ""  # JSON; the pieces of a call together are one object


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """What became clear with a piece of text."""

    content: str = ""  # text that is no call
    calls: tuple[ToolCallDelta, ...] = ()


class ToolStream(ABC):
    """Follows one output. However the text is cut, all deltas together are the same.

    What looks like a call and is none is content, as it was written, unless its name was given out already.
    """

    @abstractmethod
    def push(self, text: str) -> ToolDelta:
        """The next piece. What may be the beginning of a mark is held back."""

    @abstractmethod
    def finish(self) -> ToolDelta:
        """The rest: nothing follows."""


class ToolParser(Card):
    """Knows how some models write calls. `check(ChatFormat, facts)` refuses the others."""

    # True: the marks are special tokens, which the text must keep
    keeps_special_tokens: ClassVar[bool] = False

    @abstractmethod
    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """A stream for one output. `tools` are those of the request, as OpenAI's API writes them."""
