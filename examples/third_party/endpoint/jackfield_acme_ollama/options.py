"""Turns Ollama's `options` and `format` into sampling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.errors import RequestError

_NAMES = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
# Options that are set when the server starts.
_OF_THE_SERVER = ("num_ctx", "num_batch", "num_gpu", "num_thread", "num_keep")


def sampling_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of SamplingParams. Raises RequestError for options that would change answers but are not served."""
    options = asked.get("options") or {}
    if not isinstance(options, dict):
        raise RequestError("options must be an object")
    sampling: dict[str, Any] = {"max_tokens": None}  # up to the model's length
    for name, value in options.items():
        if name in _NAMES:
            sampling[_NAMES[name]] = value
        elif name not in _OF_THE_SERVER:
            raise RequestError(f"options.{name} is not served; known: {', '.join(_NAMES)}")
    if sampling["max_tokens"] in (-1, -2):
        sampling["max_tokens"] = None
    if asked.get("format") == "json":
        sampling["structured"] = {"json_object": True}
    elif asked.get("format"):
        sampling["structured"] = {"json": asked["format"]}
    return sampling
