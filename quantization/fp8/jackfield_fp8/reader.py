"""FP8 tensors. O outputs, I inputs.

weight float8 [O, I]; `weight_scale` or `weight_scale_inv` (which multiplies as well) for the whole matrix, for each
output, or for blocks of 128 x 128 (`weight_block_size`). GPTQModel (`weight_scale_method`) divides by its
`weight_scale_inv` instead. `input_scale` is not needed, since inputs are not rounded.
Source: Micikevicius et al. 2022, *FP8 Formats for Deep Learning*; the files of DeepSeek, GPTQModel, FBGEMM, ModelOpt.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import groups_of_inputs, spread_scale, stored_numbers
from jackfield_fp8.scheme import BLOCK, SCALES
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_DIVISORS = "weight_scale_method"  # of GPTQModel
_LARGEST = 448.0  # of E4M3


def has_scale(part: LinearPart, shard: LinearShard) -> bool:
    """True if the part is stored with a scale."""
    return any(shard.has(part, name) for name in SCALES)


def read_fp8(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    weight_OI = shard.read_stored(part, "weight")
    if weight_OI.dtype.itemsize != 1 or not weight_OI.is_floating_point():
        raise CheckpointError(
            f"weight of {part.name} is {weight_OI.dtype}, expected float8. Check that the config belongs to this "
            "checkpoint"
        )
    name = next((name for name in SCALES if shard.has(part, name)), SCALES[0])
    stored = shard.read_stored(part, name)
    if _DIVISORS in part.settings:
        stored = stored.float().reciprocal()
    if shard.has(part, "input_scale"):
        shard.read_stored(part, "input_scale")  # read so that it counts as used
    num_outputs, num_inputs = weight_OI.shape
    block = part.settings.get("weight_block_size") or BLOCK
    scale_OG = spread_scale(stored, (num_outputs, num_inputs), block, part.name)
    size = block[1] if scale_OG.shape[1] > 1 else num_inputs
    return stored_numbers(
        weight_OI, scale_OG, groups_of_inputs(num_inputs, scale_OG.shape[1], size, part.name)
    )


def round_to_fp8(weight_OI: Tensor) -> CompactMatrix:
    """A plain matrix in E4M3. The scale of each output maps its largest weight to the largest number."""
    weight_OI = weight_OI.float()
    scale_O1 = weight_OI.abs().amax(1, keepdim=True) / _LARGEST
    scale_O1 = torch.where(scale_O1 > 0, scale_O1, 1.0)
    rounded_OI = (weight_OI / scale_O1).to(torch.float8_e4m3fn)
    return stored_numbers(rounded_OI, scale_O1, torch.zeros(weight_OI.shape[1], dtype=torch.int64))
