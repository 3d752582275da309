"""Rotary position embedding (Su et al. 2021)."""

from __future__ import annotations

import math

import numpy as np
from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import Rope, RopeScaling

from jackfield_acme_numpy.arrays import Floats, Ints

Turns = tuple[Floats, Floats]  # cosines and sines for the tokens of a step, with an axis for heads


def frequencies(rope: Rope) -> Floats:
    """The angle by which each pair of elements turns for each token."""
    exponents = np.arange(0, rope.rotary_size, 2, dtype=np.float32) / rope.rotary_size
    plain = (1.0 / rope.theta**exponents).astype(np.float32)
    return plain if rope.scaling is None else _scaled(plain, rope.scaling)


def turns(frequencies: Floats, positions_T: Ints) -> Turns:
    """How far each pair turns at these positions."""
    angles = positions_T.astype(np.float32)[:, None, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotate(x_TNH: Floats, turns: Turns) -> Floats:
    """Turn pairs of elements: one of the first half of a head's leading elements, one of the second. The rest stays."""
    cos, sin = turns
    half = cos.shape[-1]
    first, second, rest = np.split(x_TNH, (half, 2 * half), axis=-1)
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
    waves = length * plain / (2 * math.pi)  # waves within the original length
    share = np.clip((waves - low) / (high - low), 0, 1).astype(np.float32)
    blended: Floats = stretched * (1 - share) + plain * share
    return blended
