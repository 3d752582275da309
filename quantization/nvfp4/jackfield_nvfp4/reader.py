"""ModelOpt's NVFP4 tensors. O outputs, I inputs.

weight uint8 [O, I/2], the lower nibble first; weight_scale float8 [O, I/16]; weight_scale_2 float32 [].
weight = e2m1(code) * weight_scale * weight_scale_2. Inputs are not rounded.
Source: NVIDIA TensorRT Model Optimizer, unified Hugging Face checkpoints.
"""

from __future__ import annotations

import torch

from jackfield.errors import CheckpointError
from jackfield_compact.bits import unpack_nibbles
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import float4
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_GROUP = 16  # inputs


def read_nvfp4(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    packed = shard.read_stored(part, "weight")
    scale_OG = shard.read_stored(part, "weight_scale")
    if packed.dtype != torch.uint8 or scale_OG.shape[1] * _GROUP != 2 * packed.shape[1]:
        raise CheckpointError(
            f"weight of {part.name} is {packed.dtype} of shape {tuple(packed.shape)} with scales of shape "
            f"{tuple(scale_OG.shape)}; NVFP4 stores two inputs a byte and a scale for {_GROUP}. Fetch the file again"
        )
    if shard.has(part, "input_scale"):
        shard.read_stored(part, "input_scale")  # read so that it counts as used
    whole = shard.read_stored(part, "weight_scale_2").float()
    return float4(unpack_nibbles(packed), scale_OG.float() * whole)
