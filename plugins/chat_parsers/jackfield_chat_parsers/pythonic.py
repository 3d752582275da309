"""Calls as a list of Python calls, `[f(a=1), g(b="x")]`: Llama 3.2's small models, Llama 4, ToolACE."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield.interfaces.reasoning_parser import ChatFormat
from jackfield.interfaces.tool_parser import ToolParser, ToolStream
from jackfield_chat_parsers.stream import CharacterStream

_MARKS = ("<|python_start|>", "<|python_end|>", "<|python_tag|>")


class PythonicParser(ToolParser):
    """An answer consists of calls if it is such a list from its first character on."""

    def check(self, need: ChatFormat, facts: Facts) -> tuple[Reason, ...]:
        """Refuse templates that do not ask for the form."""
        if "func_name1(params_name1=" in need.template or "python_start" in need.template:
            return ()
        return (Reason("format", "the chat template does not ask for [func_name1(...)]"),)

    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        """A stream."""
        return PythonicStream()


class PythonicStream(CharacterStream):
    """Holds the list back until it is complete. If a call has a syntax error, the whole list becomes content."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""  # not yet given out
        self._depth = 0
        self._quote = ""
        self._is_escaped = False
        self._is_content = False

    def read(self, character: str) -> None:
        """Read the next character."""
        if self._is_content:
            self.say(character)
            return
        self._text += character
        text = _without_marks(self._text).lstrip()
        if not text.startswith("["):
            if text and not any(mark.startswith(text) for mark in _MARKS):
                self._become_content()
            return
        self._count(character)
        if self._depth == 0:
            self._read_calls(text)

    def end(self) -> None:
        """End the output. An incomplete list becomes content."""
        if not self._is_content and (_without_marks(self._text).strip() or not self.num_calls):
            self._become_content()

    def _count(self, character: str) -> None:
        """Count brackets outside of strings."""
        if self._quote:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == self._quote:
                self._quote = ""
        elif character in "\"'":
            self._quote = character
        elif character in "[({":
            self._depth += 1
        elif character in "])}":
            self._depth -= 1

    def _read_calls(self, text: str) -> None:
        try:
            calls = _calls(text)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            self._become_content()
            return
        for name, arguments in calls:
            self.begin_call(name)
            self.add_arguments(json.dumps(arguments, ensure_ascii=False))
        self._text = ""

    def _become_content(self) -> None:
        self.say(self._text)
        self._is_content, self._text = True, ""


def _without_marks(text: str) -> str:
    for mark in _MARKS:
        text = text.lstrip().removeprefix(mark)
    return text


def _calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments. Raises ValueError if the text is no list of calls with named literals."""
    tree = ast.parse(text.strip(), mode="eval").body
    if not isinstance(tree, ast.List) or not tree.elts:
        raise ValueError("no list of calls")
    return [_call(node) for node in tree.elts]


def _call(node: ast.expr) -> tuple[str, dict[str, Any]]:
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError("no call with named arguments")
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    json.dumps(arguments)  # raises TypeError for values that JSON lacks: sets, bytes
    if None in arguments:
        raise ValueError("a call with **")
    return ast.unparse(node.func), {str(name): value for name, value in arguments.items()}
