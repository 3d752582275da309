"""Reads a call as a JSON object while it arrives: its name, and its arguments as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable

_BLANKS = " \t\r\n"
NAMES = ("name", "function")  # keys for the tool's name
ARGUMENTS = ("arguments", "parameters")  # keys for its arguments


class JsonValue:
    """Finds the end of one JSON value in a text that arrives in characters."""

    def __init__(self) -> None:
        self.text = ""
        self.is_done = False
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def push(self, character: str) -> bool:
        """Take a character. False if the value ended before it."""
        if self._in_string:
            self.text += character
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._in_string = False
                self.is_done = self._depth == 0
            return True
        if self._depth == 0 and self.text and (character in ",}]" or character in _BLANKS):
            self.is_done = True  # a number, true, false or null
            return False
        self.text += character
        if character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_done = self._depth <= 0
        return True


class JsonCall:
    """Reads `{"name": ..., "arguments": {...}}` with its keys in any order; other keys are skipped.

    When the name is known, arguments are given out as they are written. If they are a text, the JSON in the text is
    given out.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.arguments = ""  # not yet given out
        self.is_done = False
        self.is_broken = False  # True: this is no such object
        self._has_arguments = False
        self._key = ""
        self._value: JsonValue | None = None
        self._next: Callable[[str], None] = self._open

    def push(self, character: str) -> None:
        """Take a character."""
        self._next(character)

    def take_arguments(self) -> str:
        """New text of the arguments, if the name is known."""
        if self.name is None:
            return ""
        found, self.arguments = self.arguments, ""
        return found

    # States

    def _open(self, character: str) -> None:
        if character == "{":
            self._next = self._before_key
        elif character not in _BLANKS:
            self.is_broken = True

    def _before_key(self, character: str) -> None:
        if character == '"':
            self._value = JsonValue()
            self._value.push(character)
            self._next = self._in_key
        elif character == "}":
            self._end()
        elif character not in _BLANKS + ",":
            self.is_broken = True

    def _in_key(self, character: str) -> None:
        assert self._value is not None, "made with the first quote"
        self._value.push(character)
        if self._value.is_done:
            key = _loaded(self._value.text)
            self._key = key if isinstance(key, str) else ""
            self._next = self._before_colon

    def _before_colon(self, character: str) -> None:
        if character == ":":
            self._value = JsonValue()
            self._next = self._before_value
        elif character not in _BLANKS:
            self.is_broken = True

    def _before_value(self, character: str) -> None:
        if character not in _BLANKS:
            self._next = self._in_value
            self._in_value(character)

    def _in_value(self, character: str) -> None:
        value = self._value
        assert value is not None, "made with the colon"
        taken = value.push(character)
        is_streamed = self._key in ARGUMENTS and value.text[0] == "{"
        if is_streamed and taken:
            self._has_arguments = True
            self.arguments += character
        if value.is_done:
            if not is_streamed:
                self._take(value.text)
            self._next = self._before_key
            if not taken:
                self._next(character)

    def _take(self, text: str) -> None:
        """Take a complete value."""
        value = _loaded(text)
        if self._key in NAMES and isinstance(value, str):
            self.name = value
        elif self._key in ARGUMENTS and not self._has_arguments:
            self._has_arguments = value is not None
            self.arguments += (
                (value if isinstance(value, str) else text) if value is not None else ""
            )

    def _end(self) -> None:
        self.is_done = True
        self.is_broken = self.name is None
        if not self._has_arguments:
            self.arguments = "{}"


def _loaded(text: str) -> object:
    try:
        value: object = json.loads(text, strict=False)
    except ValueError:
        return None
    return value
