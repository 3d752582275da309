"""Calls after `[TOOL_CALLS]`: Mistral's models, with the older list of objects and the newer names with arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield.interfaces.tool_parser import ToolParser, ToolStream
from jackfield_chat_parsers.json_call import JsonValue
from jackfield_chat_parsers.marks import cut
from jackfield_chat_parsers.stream import CharacterStream, JsonCallReader

MARK = "[TOOL_CALLS]"
# Newer form: NAME, or NAME[CALL_ID]ID, perhaps followed by [ARGS].
_HEAD = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w*)?\s*(?:\[ARGS\])?\s*")
_LONGEST_HEAD = 512  # characters; no name is that long


class MistralParser(ToolParser):
    """The marks are special tokens."""

    keeps_special_tokens = True

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse templates without the mark."""
        if MARK in need.template:
            return ()
        return (Reason("format", f"the chat template has no {MARK}"),)

    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """A stream."""
        return MistralStream()


class MistralStream(CharacterStream):
    """Content up to the mark, then calls."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""  # not yet given out
        self._next = self._read_content
        self._call: JsonCallReader | None = None
        self._value: JsonValue | None = None

    def read(self, character: str) -> None:
        """Read the next character."""
        self._next(character)

    def end(self) -> None:
        """End the output. An incomplete call without a known name becomes content."""
        call, is_content = self._call, self._next == self._read_content
        if call is not None and not call.has_begun:
            self.say(MARK + self._text + call.text)
        elif self._next in (self._read_first, self._read_head):
            self.say(MARK + self._text)
        elif is_content and (self._text.strip() or not self.num_calls):
            self.say(self._text)
        self._text, self._call = "", None

    def _read_content(self, character: str) -> None:
        before, mark, rest = cut(self._text + character, (MARK,))
        shown = before.rstrip()
        self.say(shown)
        if mark is None:
            self._text = before[len(shown) :] + rest
        else:
            self._text, self._next = "", self._read_first

    def _read_first(self, character: str) -> None:
        """Read the text directly after the mark: a list, an object, or a name."""
        if character == "{":
            self._begin_object(character)
            return
        self._text += character
        if character == "[":
            self._next = self._read_between
        elif not character.isspace():
            self._next = self._read_head

    def _begin_object(self, character: str) -> None:
        self._call, self._next = JsonCallReader(self), self._read_object
        self._call.read(character)

    def _read_object(self, character: str) -> None:
        call = self._call
        assert call is not None, "made with its first character"
        call.read(character)
        if call.is_broken:
            self.say(MARK + self._text + call.text)
            self._text, self._call, self._next = "", None, self._read_content
        elif call.is_done:
            self._text, self._call, self._next = "", None, self._read_between

    def _read_between(self, character: str) -> None:
        """Read the text in a list before or after an object."""
        if character == "{":
            self._begin_object(character)
        elif character == "]":
            self._text, self._next = "", self._read_content
        elif character == "[" or not (character.isspace() or character == ","):
            text, self._text, self._next = self._text, "", self._read_content
            for held in (MARK + text if not self.num_calls else "") + character:
                self._read_content(held) if self.num_calls else self.say(held)

    def _read_head(self, character: str) -> None:
        if character == "{" and (found := _HEAD.fullmatch(self._text)):
            self.begin_call(found[1])
            self._text, self._value, self._next = "", JsonValue(), self._read_arguments
            self._read_arguments(character)
            return
        self._text += character
        if len(self._text) > _LONGEST_HEAD:
            self.say(MARK + self._text)
            self._text, self._next = "", self._read_content

    def _read_arguments(self, character: str) -> None:
        value = self._value
        assert value is not None, "made with its first character"
        value.push(character)
        self.add_arguments(character)
        if value.is_done:
            self._value, self._next = None, self._read_content
