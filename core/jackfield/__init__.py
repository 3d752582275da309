"""Jackfield: an LLM inference engine and SDK in which every part is a plug.

The names below are imported when they are first used, so that `import jackfield` is light. `__init__.pyi` gives type
checkers the types.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "AsyncLLM": "jackfield.client",
    "BeamSearch": "jackfield.sampling",
    "CompletionOutput": "jackfield.request",
    "Engine": "jackfield.engine.engine",
    "EngineConfig": "jackfield.config",
    "FinishReason": "jackfield.request",
    "JackfieldError": "jackfield.errors",
    "LLM": "jackfield.client",
    "PoolingOutput": "jackfield.request",
    "PoolingParams": "jackfield.pooling",
    "RequestError": "jackfield.errors",
    "RequestOutput": "jackfield.request",
    "SamplingParams": "jackfield.sampling",
    "ScoreOutput": "jackfield.request",
    "load_config": "jackfield.config",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value  # the next access finds it directly
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
