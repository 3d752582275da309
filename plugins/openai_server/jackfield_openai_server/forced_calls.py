"""Calls that a client forces: a grammar lets the model write only a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jackfield.interfaces.tool_parser import ToolCallDelta, ToolDelta, ToolStream


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
    """An output that consists of the arguments of a tool, or of an object with its name and arguments."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._has_begun = False
        self._text = ""

    def push(self, text: str) -> ToolDelta:
        """Arguments are given out as they arrive, when the name is known."""
        if self._name is None:
            self._text += text
            return ToolDelta()
        name = None if self._has_begun else self._name
        self._has_begun = True
        return ToolDelta(calls=(ToolCallDelta(0, name, text),))

    def finish(self) -> ToolDelta:
        """The call whose name the model chose. An incomplete call becomes content."""
        if self._name is not None or not self._text:
            return ToolDelta()
        try:
            call = json.loads(self._text)
            name, arguments = call["name"], call["arguments"]
        except (ValueError, TypeError, KeyError):
            return ToolDelta(self._text)
        return ToolDelta(calls=(ToolCallDelta(0, name, json.dumps(arguments, ensure_ascii=False)),))
