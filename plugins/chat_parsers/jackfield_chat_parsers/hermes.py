"""Calls between `<tool_call>` and `</tool_call>`, as JSON: Hermes, Qwen 2.5 and 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield.interfaces.tool_parser import ToolParser, ToolStream
from jackfield_chat_parsers.marks import cut
from jackfield_chat_parsers.stream import CharacterStream, JsonCallReader

BEGIN, END = "<tool_call>", "</tool_call>"


class HermesParser(ToolParser):
    """Any number of calls, each between marks of its own, with text around them."""

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse templates without the mark, and those that write XML between such marks."""
        if BEGIN not in need.template:
            return (Reason("format", f"the chat template has no {BEGIN}"),)
        if "<function=" in need.template:
            return (Reason("format", "the chat template writes <function=...>, not JSON"),)
        return ()

    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """A stream."""
        return HermesStream()


class HermesStream(CharacterStream):
    """Blanks around calls belong to the calls, not to the content."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""  # text that was not given out: blanks, or a possible mark
        self._call: JsonCallReader | None = None
        self._is_behind = False  # True: after a call, up to the end of its second mark

    def read(self, character: str) -> None:
        """Read the next character."""
        if self._call is not None:
            self._read_call(self._call, character)
            return
        self._text += character
        if self._is_behind:
            self._read_end()
        else:
            self._read_content()

    def end(self) -> None:
        """End the output. An incomplete call whose name is not known becomes content."""
        if self._call is not None and not self._call.has_begun:
            self.say(BEGIN + self._call.text)
        elif self._call is None and not self._is_behind:
            self.say(self._text if self._text.strip() or not self.num_calls else "")
        self._call, self._text = None, ""

    def _read_content(self) -> None:
        before, mark, rest = cut(self._text, (BEGIN,))
        shown = before.rstrip()
        if mark is not None:
            self.say(shown)
            self._text, self._call = "", JsonCallReader(self)
            return
        self.say(shown)
        self._text = before[len(shown) :] + rest

    def _read_call(self, call: JsonCallReader, character: str) -> None:
        call.read(character)
        if call.is_broken:
            self.say(BEGIN + call.text)
            self._call = None
        elif call.is_done:
            self._call, self._is_behind = None, True

    def _read_end(self) -> None:
        """After a call, read its second mark, or text if the model left the mark out."""
        text = self._text.lstrip()
        if text == END:
            self._text, self._is_behind = "", False
        elif not END.startswith(text):
            self._text, self._is_behind = text, False
            self._read_content()
