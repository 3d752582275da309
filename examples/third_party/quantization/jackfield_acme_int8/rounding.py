"""Rounds weights to eight bits, and turns them back into numbers. I inputs, O outputs."""

from __future__ import annotations

import torch
from torch import Tensor

_LARGEST = 127  # -128 is not used, so that rounding is symmetric


def quantise(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [O, I] and float32 scales [O, 1]. Their product is the weight, rounded to the nearest step."""
    weight_OI = weight_OI.float()
    scale_O1 = weight_OI.abs().amax(1, keepdim=True) / _LARGEST
    scale_O1 = torch.where(scale_O1 > 0, scale_O1, 1.0)  # an output without weights stays zero
    return (weight_OI / scale_O1).round().to(torch.int8), scale_O1


def dequantise(weight_OI: Tensor, scale_O1: Tensor) -> Tensor:
    """The weights that the stored numbers represent, in float32."""
    return weight_OI.float() * scale_O1
