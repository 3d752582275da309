"""Thoughts between two marks: DeepSeek-R1, Qwen 3, Mistral's Magistral."""

from __future__ import annotations

from typing import ClassVar

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.reasoning_parser import (
    ChatFormat,
    ReasoningDelta,
    ReasoningParser,
    ReasoningStream,
)
from jackfield_chat_parsers.marks import cut

_ASSISTANT = "<\uff5cAssistant\uff5c>"  # mark in DeepSeek's templates


class ThinkParser(ReasoningParser):
    """Thoughts stand between `begin` and `end`, at the beginning of an answer.

    In some formats the template writes the first mark: if the prompt ends with it, the answer begins with a thought.
    """

    begin: ClassVar[str] = "<think>"
    end: ClassVar[str] = "</think>"
    # True: an answer begins with a thought even without the first mark.
    begins_inside: ClassVar[bool] = False

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse models whose template has no such mark."""
        if self.end in need.template:
            return ()
        return (Reason("format", f"the chat template has no {self.end}"),)

    def open(self, prompt: str) -> ReasoningStream:
        """Make a stream that knows whether the prompt ends inside a thought."""
        first, last = prompt.rfind(self.begin), prompt.rfind(self.end)
        is_inside = first > last or (self.begins_inside and last < 0)
        return ThinkStream(self.begin, self.end, is_inside=is_inside)


class Qwen3Parser(ThinkParser):
    """Qwen 3, QwQ, and other models that write `<think>`."""


class DeepseekR1Parser(ThinkParser):
    """DeepSeek-R1 and its distilled models. Older templates leave the first mark out, and the model may do so too."""

    begins_inside = True

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse templates without DeepSeek's marks."""
        refused = super().check(need, facts)
        if refused or _ASSISTANT in need.template:
            return refused
        return (Reason("format", f"the chat template has no {_ASSISTANT}"),)


class MistralThinkParser(ThinkParser):
    """Magistral and later models of Mistral."""

    begin = "[THINK]"
    end = "[/THINK]"


class ThinkStream(ReasoningStream):
    """One thought, then the answer. Blanks around the marks belong to neither."""

    def __init__(self, begin: str, end: str, *, is_inside: bool) -> None:
        self._begin = begin
        self._end = end
        self._text = ""  # not yet given out
        self._next = self._thought_begins if is_inside else self._begins

    def push(self, text: str) -> ReasoningDelta:
        """Read the next piece."""
        self._text += text
        reasoning, content = "", ""
        while (found := self._next()) is not None:
            reasoning += found.reasoning
            content += found.content
        return ReasoningDelta(reasoning, content)

    def finish(self) -> ReasoningDelta:
        """Give out the text that was held back."""
        rest, self._text = self._text, ""
        if self._next in (self._thought_begins, self._blanks, self._thinks):
            return ReasoningDelta(rest.rstrip() if self._next == self._thinks else rest.strip())
        return ReasoningDelta("", rest if self._next != self._answer_begins else rest.lstrip())

    # Each state returns what is clear now, and sets the next state. None: more text is needed.

    def _begins(self) -> ReasoningDelta | None:
        """State: only blanks have come."""
        text = self._text.lstrip()
        if not text or (len(text) < len(self._begin) and self._begin.startswith(text)):
            return None
        if text.startswith(self._begin):
            self._text = text[len(self._begin) :]
            self._next = self._blanks
            return ReasoningDelta()
        self._next = self._answers
        return ReasoningDelta()

    def _thought_begins(self) -> ReasoningDelta | None:
        self._text = self._text.lstrip()
        if len(self._text) < len(self._begin) and self._begin.startswith(self._text):
            return None  # may be the first mark, which the prompt already had
        self._text = self._text.removeprefix(self._begin)
        self._next = self._blanks
        return ReasoningDelta()

    def _blanks(self) -> ReasoningDelta | None:
        """State: before the first word of a thought."""
        self._text = self._text.lstrip()
        if not self._text:
            return None
        self._next = self._thinks
        return ReasoningDelta()

    def _thinks(self) -> ReasoningDelta | None:
        before, mark, rest = cut(self._text, (self._end,))
        if mark is not None:
            self._text, self._next = rest, self._answer_begins
            return ReasoningDelta(before.rstrip())
        shown = before.rstrip()  # blanks before the mark do not belong to the thought
        self._text = before[len(shown) :] + rest
        return ReasoningDelta(shown) if shown else None

    def _answer_begins(self) -> ReasoningDelta | None:
        self._text = self._text.lstrip()
        if not self._text:
            return None
        self._next = self._answers
        return ReasoningDelta()

    def _answers(self) -> ReasoningDelta | None:
        text, self._text = self._text, ""
        return ReasoningDelta("", text) if text else None
