"""Calls of tools: their ids, and their form for chat templates."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 9  # Mistral's templates accept no other length


def call_id() -> str:
    """An id for a call."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def with_parsed_arguments(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with the arguments of its calls as objects, which is the form that templates print."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_parsed(call) for call in calls]}


def _parsed(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except ValueError:
        return call  # a template may print the text as it is
    return {**call, "function": {**function, "arguments": arguments}}
