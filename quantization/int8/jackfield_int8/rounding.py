"""From numbers to eight bits. O outputs, I inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import stored_numbers

_LARGEST = 127  # -128 is not used, so that a weight and its negative round alike


def round_to_int8(weight_OI: Tensor) -> CompactMatrix:
    """Round to the nearest step. The largest weight of an output is 127 steps."""
    weight_OI = weight_OI.float()
    scale_O1 = weight_OI.abs().amax(1, keepdim=True) / _LARGEST
    scale_O1 = torch.where(scale_O1 > 0, scale_O1, 1.0)
    rounded_OI = (weight_OI / scale_O1).round().to(torch.int8)
    group_I = torch.zeros(weight_OI.shape[1], dtype=torch.int64)
    return stored_numbers(rounded_OI, scale_O1, group_I, rounds_inputs=True)
