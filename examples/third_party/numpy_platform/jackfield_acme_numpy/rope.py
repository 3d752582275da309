"""Rotary position embedding (Su et al. 2021)."""

from __future__ import annotations

import math

import numpy as np

from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Rope, RopeScaling
from jackfield_acme_numpy.arrays import Floats, Ints


class Rotation:
    """Turns pairs of elements, those of the first half of a head with those of the second."""

    def __init__(self, rope: Rope) -> None:
        exponents = np.arange(0, rope.rotary_size, 2, dtype=np.float32) / rope.rotary_size
        plain = (1.0 / rope.theta**exponents).astype(np.float32)
        self._frequencies = _scaled(plain, rope.scaling) if rope.scaling else plain
        self._half = len(plain)

    def turns(self, positions_T: Ints) -> tuple[Floats, Floats]:
        """Cosines and sines for the tokens of a step, with an axis for heads."""
        angles = positions_T.astype(np.float32)[:, None, None] * self._frequencies
        return np.cos(angles), np.sin(angles)

    def apply(self, x_TNH: Floats, turns: tuple[Floats, Floats]) -> Floats:
        """Elements behind the rotating ones stay."""
        cos, sin = turns
        first, second, rest = np.split(x_TNH, (self._half, 2 * self._half), axis=-1)
        turned = (first * cos - second * sin, second * cos + first * sin, rest)
        return np.concatenate(turned, axis=-1)


def _scaled(plain: Floats, scaling: RopeScaling) -> Floats:
    """Chen et al. 2023 (linear), or Llama 3: long waves are stretched, short ones kept, those between blended."""
    stretched: Floats = plain / np.float32(scaling.factor)
    if scaling.kind == "linear":
        return stretched
    length, low, high = scaling.original_length, scaling.low_frequency, scaling.high_frequency
    if length is None or low is None or high is None:
        raise UnsupportedModelError(
            f"rope scaling {scaling.kind} has original_length={length}, low_frequency={low}, "
            f"high_frequency={high}; llama3 needs all three. Correct the model plugin"
        )
    turns = length * plain / (2 * math.pi)  # within the original length
    share = np.clip((turns - low) / (high - low), 0, 1).astype(np.float32)
    blended: Floats = stretched * (1 - share) + plain * share
    return blended
