"""Calls as bare JSON objects: Llama 3.1, 3.2 and 3.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield.interfaces.tool_parser import ToolParser, ToolStream
from jackfield_chat_parsers.stream import CharacterStream, JsonCallReader

_MARK = "<|python_tag|>"
_BETWEEN = "; \t\r\n,"  # between two calls


class Llama3JsonParser(ToolParser):
    """An answer is a call if it consists only of objects with a name, separated by `;`."""

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse templates that do not ask for Llama 3's form."""
        if '"parameters"' in need.template and "ipython" in need.template:
            return ()
        return (Reason("format", "the chat template has no ipython role and no parameters"),)

    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """A stream."""
        return Llama3JsonStream()


class Llama3JsonStream(CharacterStream):
    """Reads calls up to the first text that is no call; the rest is content."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""  # text before an object: blanks, or a mark
        self._call: JsonCallReader | None = None
        self._is_content = False

    def read(self, character: str) -> None:
        """Read the next character."""
        if self._is_content:
            self.say(character)
        elif self._call is not None:
            self._read_call(self._call, character)
        else:
            self._read_between(character)

    def end(self) -> None:
        """End the output. An incomplete call whose name is not known becomes content."""
        if self._call is not None and not self._call.has_begun:
            self.say(self._text + self._call.text)
        elif self._call is None and not self.num_calls:
            self.say(self._text)
        self._call, self._text = None, ""

    def _read_between(self, character: str) -> None:
        text = self._text.lstrip(_BETWEEN if self.num_calls else None)
        if character == "{" and text in ("", _MARK):
            self._call = JsonCallReader(self)
            self._call.read(character)
            return
        self._text += character
        text = self._text.lstrip(_BETWEEN if self.num_calls else None)
        if text and not _MARK.startswith(text.rstrip()):
            self._become_content(self._text if not self.num_calls else text)

    def _read_call(self, call: JsonCallReader, character: str) -> None:
        call.read(character)
        if call.is_broken:
            self._become_content(self._text + call.text)
        elif call.is_done:
            self._call, self._text = None, ""

    def _become_content(self, text: str) -> None:
        self.say(text)
        self._is_content, self._call, self._text = True, None, ""
