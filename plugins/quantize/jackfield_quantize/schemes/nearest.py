"""Rounds to the nearest number: groups, eight bits, float8. O outputs, I inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_quantize.matrices import Grouped, Scaled, in_groups
from jackfield_quantize.schemes.grid import whole_grid

_LARGEST_INT8 = 127  # -128 is left out, so that a weight and its negative round alike
_LARGEST_E4M3 = 448.0  # Micikevicius et al. 2022, *FP8 Formats for Deep Learning*


def quantise_nearest(weight_OI: Tensor, *, bits: int, group_size: int, symmetric: bool) -> Grouped:
    """Round each weight to the nearest step of a grid over the whole range of its group."""
    groups_OGS = in_groups(weight_OI.float(), group_size)
    grid = whole_grid(groups_OGS, bits, symmetric=symmetric)
    return Grouped(
        codes_OI=grid.codes(groups_OGS).flatten(1).to(torch.uint8),
        scale_OG=grid.scale.squeeze(-1),
        zero_OG=grid.zero.squeeze(-1).to(torch.uint8),
        bits=bits,
        symmetric=symmetric,
    )


def quantise_int8(weight_OI: Tensor) -> Scaled:
    """Round to whole numbers from -127 to 127, with a scale for each output."""
    scale_O1 = _scale(weight_OI, _LARGEST_INT8)
    return Scaled(
        numbers_OI=(weight_OI.float() / scale_O1).round_().to(torch.int8), scale_O1=scale_O1
    )


def quantise_fp8(weight_OI: Tensor) -> Scaled:
    """Round to E4M3. The scale of each output maps its largest weight to the largest number."""
    scale_O1 = _scale(weight_OI, _LARGEST_E4M3)
    numbers_OI = (weight_OI.float() / scale_O1).clamp_(-_LARGEST_E4M3, _LARGEST_E4M3)
    return Scaled(numbers_OI=numbers_OI.to(torch.float8_e4m3fn), scale_O1=scale_O1)


def quantise_fp8_blocks(weight_OI: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """E4M3 [O, I] and float32 scales of blocks of `block` outputs and inputs; the last ones may be smaller."""
    num_outputs, num_inputs = weight_OI.shape
    padded = torch.nn.functional.pad(
        weight_OI.float(), (0, -num_inputs % block, 0, -num_outputs % block)
    )
    blocks = in_groups(padded, block)
    blocks = blocks.view(-1, block, *blocks.shape[1:])
    largest = blocks.abs().amax((1, 3), keepdim=True)
    scale = torch.where(largest > 0, largest / _LARGEST_E4M3, 1.0)
    numbers = (blocks / scale).clamp_(-_LARGEST_E4M3, _LARGEST_E4M3).to(torch.float8_e4m3fn)
    flat = numbers.flatten(2, 3).flatten(0, 1)[:num_outputs, :num_inputs]
    return flat.contiguous(), scale[:, 0, :, 0].contiguous()


def _scale(weight_OI: Tensor, largest: float) -> Tensor:
    """The scale of each output, float32 [O, 1]. An output of zeros gets an arbitrary one."""
    scale_O1 = weight_OI.float().abs().amax(1, keepdim=True) / largest
    return torch.where(scale_O1 > 0, scale_O1, 1.0)
