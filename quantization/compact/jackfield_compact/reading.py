"""The code that readers of several formats share: groups of inputs, scales of blocks, codes of stored numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_compact.layout import check_scale, group_size_of
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.tables import e2m1, float8, integers

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def groups_of_inputs(num_inputs: int, num_groups: int, group_size: object, name: str) -> Tensor:
    """int64 [I], the group of each input: groups have `group_size` inputs, the last may have fewer; else equal sizes.

    If stored tensors show the size, that counts before the config. Raises CheckpointError.
    """
    return torch.arange(num_inputs) // group_size_of(num_inputs, num_groups, group_size, name)


def spread_scale(scale: Tensor, shape: tuple[int, int], blocks: object, name: str) -> Tensor:
    """[O, G] from one scale, or from scales of outputs, of groups of inputs, or of blocks of outputs and inputs.

    Raises CheckpointError.
    """
    num_outputs, _ = shape
    check_scale(tuple(scale.shape), shape, blocks, name)
    if scale.numel() == 1:
        return scale.reshape(1, 1).expand(num_outputs, 1)
    if scale.shape[0] == num_outputs:
        return scale.unsqueeze(1) if scale.ndim == 1 else scale
    assert isinstance(blocks, (list, tuple))
    return scale.repeat_interleave(blocks[0], 0)[:num_outputs]


def stored_numbers(
    weight: Tensor,
    scale_OG: Tensor,
    group_I: Tensor,
    *,
    bits: int = 8,
    zero_OG: Tensor | None = None,
    rounds_inputs: bool = False,
) -> CompactMatrix:
    """A matrix of int8 (with `bits` significant bits) or float8 elements with scales."""
    if weight.dtype in _FLOAT8:
        codes_OI, table, bits = weight.view(torch.uint8), float8(weight.dtype), 8
    else:
        half = 2 ** (bits - 1)
        codes_OI, table = (weight.to(torch.int16) + half).to(torch.uint8), integers(bits, half)
    offset_OG = None
    if zero_OG is not None and bool(zero_OG.any()):
        offset_OG = zero_OG.float() * scale_OG.float()
    return CompactMatrix(
        codes_OI=codes_OI,
        bits=bits,
        table=table,
        scale_OG=scale_OG,
        offset_OG=offset_OG,
        group_I=group_I,
        rounds_inputs=rounds_inputs,
    )


def float4(codes_OI: Tensor, scale_OG: Tensor) -> CompactMatrix:
    """A matrix of E2M1 elements with scales of equal groups, as in NVFP4 (16 inputs) and MXFP4 (32)."""
    size = codes_OI.shape[1] // scale_OG.shape[1]
    group_I = torch.arange(codes_OI.shape[1]) // size
    return CompactMatrix(
        codes_OI=codes_OI, bits=4, table=e2m1(), scale_OG=scale_OG, group_I=group_I
    )


def power_of_two(exponents: Tensor) -> Tensor:
    """float32 from E8M0 bytes: 2 ** (byte - 127)."""
    return torch.ldexp(torch.ones(exponents.shape), exponents.int() - 127)
