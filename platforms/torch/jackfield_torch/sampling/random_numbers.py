"""Counter-based random numbers: a pure function of seed and position, so that no batch and no restart changes them."""

from __future__ import annotations

import torch
from torch import Tensor

# Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64). Products of int64 wrap on
# every device, and have the same bits as unsigned products.
_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_TO_UNIT = 2.0**-53


def uniform(seeds_S: Tensor, positions_S: Tensor) -> Tensor:
    """A float64 in [0, 1) for each seed (int64, by its bits) at its position, with 53 random bits.

    The position is the number of tokens drawn before, int64.
    """
    # The seed is mixed first, so that neighbouring seeds are not neighbouring positions of one stream.
    state_S = _mix(seeds_S * _GAMMA) + (positions_S + 1) * _GAMMA
    return _shifted(_mix(state_S), 11).double() * _TO_UNIT


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * _MIX_1
    bits = (bits ^ _shifted(bits, 27)) * _MIX_2
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Shift to the right, with zeros from the left. torch's own shift of int64 repeats the sign."""
    return torch.bitwise_right_shift(bits, count).bitwise_and_((1 << (64 - count)) - 1)
