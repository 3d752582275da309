"""Counter-based random numbers: a pure function of seed and position, so that no batch and no restart changes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53


def uniform(seeds_S: NDArray[np.uint64], positions_S: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number in [0, 1) for each seed at its position (tokens drawn before), with 53 random bits."""
    # The seed is mixed first: neighbouring seeds must not be neighbouring positions of one stream.
    state_S = _mix(seeds_S * _GAMMA) + (positions_S.astype(np.uint64) + np.uint64(1)) * _GAMMA
    return (_mix(state_S) >> np.uint64(11)).astype(np.float64) * _TO_UNIT


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    return bits ^ (bits >> np.uint64(31))
