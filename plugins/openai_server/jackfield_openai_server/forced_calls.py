"""Calls that a client forces: a grammar lets the model write only a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.interfaces.tool_parser import ToolCallDelta, ToolDelta, ToolStream

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')
_LAST_BRACE = re.compile(r"\}\s*$")


def forced_structure(tools: Sequence[Mapping[str, Any]], name: str | None) -> dict[str, Any]:
    """SamplingParams.structured for a call of the named tool; without a name, of any tool."""
    schemas = {tool["function"]["name"]: _parameters(tool) for tool in tools}
    if name is not None:
        return {"json": json.dumps(schemas[name])}
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": known}, "arguments": schema},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for known, schema in schemas.items()
    ]
    return {"json": json.dumps(calls[0] if len(calls) == 1 else {"anyOf": calls})}


def _parameters(tool: Mapping[str, Any]) -> dict[str, Any]:
    found = tool["function"].get("parameters") or {}
    return {"type": "object", **found}


class ForcedCallStream(ToolStream):
    """An output that consists of the arguments of a tool, or of an object with its name and arguments, in this order.

    Arguments are given out as they arrive, once the name is known, and also if the answer is cut off.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._has_begun = False
        self._text = ""  # of the object
        self._held = ""  # its end so far, which may be the brace that closes it

    def push(self, text: str) -> ToolDelta:
        """The next piece of the arguments."""
        if self._name is not None:
            name = None if self._has_begun else self._name
            self._has_begun = True
            return ToolDelta(calls=(ToolCallDelta(0, name, text),))
        self._text += text
        if self._has_begun:
            return self._more(None, text)
        if (found := _HEAD.match(self._text)) is None:
            return ToolDelta()
        self._has_begun = True
        return self._more(json.loads(found[1]), self._text[found.end() :])

    def finish(self) -> ToolDelta:
        """What was held back, or a whole call of another form. An output that is no call becomes content."""
        if self._name is not None:
            return ToolDelta()
        if not self._has_begun:
            return self._whole_call()
        try:
            json.loads(self._text)
        except ValueError:  # it was cut off: the brace belongs to the arguments
            return ToolDelta(calls=(ToolCallDelta(0, None, self._held),))
        return ToolDelta()

    def _whole_call(self) -> ToolDelta:
        """Of an object with its keys in another order, or with arguments that are no object."""
        try:
            call = json.loads(self._text)
            name, arguments = call["name"], call["arguments"]
        except (ValueError, TypeError, KeyError):
            return ToolDelta(self._text)
        return ToolDelta(calls=(ToolCallDelta(0, name, json.dumps(arguments, ensure_ascii=False)),))

    def _more(self, name: str | None, text: str) -> ToolDelta:
        text = self._held + text
        end = _LAST_BRACE.search(text)
        shown = text if end is None else text[: end.start()]
        self._held = text[len(shown) :]
        return ToolDelta(calls=(ToolCallDelta(0, name, shown),))
