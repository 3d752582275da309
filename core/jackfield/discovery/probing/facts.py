"""What a probe may return: facts that can be saved, compared and stand in for the machine elsewhere."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping
from typing import Any

from jackfield.interfaces.card import Facts

MAX_FACTS_BYTES = 64 * 1024  # as JSON


def plain_facts(facts: Any) -> Facts:
    """A copy of what a probe returned. Raises TypeError or ValueError where no file could hold it."""
    if not isinstance(facts, Mapping):
        raise TypeError(f"probe() must return a mapping of facts, got {reprlib.repr(facts)}")
    for name, value in facts.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | None):
            raise TypeError(
                "probe() must return names with text, numbers, truth values or None, "
                f"got {reprlib.repr(name)}: {reprlib.repr(value)}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"probe() must return finite numbers, got {name!r}: {value}")
    if (num_bytes := len(json.dumps(dict(facts)))) > MAX_FACTS_BYTES:
        raise ValueError(
            f"probe() must return at most {MAX_FACTS_BYTES} bytes of facts, got {num_bytes}"
        )
    return dict(facts)
