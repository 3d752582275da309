"""The settings of the scheme: `[options.fp8]` in a config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp8Options:
    """How products are made."""

    # On cards that multiply float8, the inputs of steps of many tokens are rounded to it as well, a scale a token.
    rounds_inputs: bool = False
