"""The settings of the scheme: `[options.fp8]` in a config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp8Options:
    """How products are made."""

    # True: on cards that multiply float8, inputs of steps with many tokens are rounded too, with a scale for each
    # token.
    rounds_inputs: bool = False
