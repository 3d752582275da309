"""torchao's tensors in safetensors. O outputs, I inputs, G groups.

_weight_qdata int8 or float8 [O, I], _weight_scale [O, 1] or [O, G], _weight_zero_point int8 of the same shape.
weight = (code - zero) * scale. Layouts that are packed for a single kernel are refused.
Source: torchao 0.18, `torchao.prototype.safetensors` and the version 2 of its configs.
"""

from __future__ import annotations

import torch

from jackfield.errors import CheckpointError
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import groups_of_inputs, spread_scale, stored_numbers
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_TYPES = (torch.int8, torch.float8_e4m3fn, torch.float8_e5m2)


def read_torchao(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    weight_OI = shard.read_stored(part, "_weight_qdata")
    if weight_OI.dtype not in _TYPES or weight_OI.ndim != 2:
        raise CheckpointError(
            f"_weight_qdata of {part.name} is {weight_OI.dtype} of shape {tuple(weight_OI.shape)}; int8 and float8 "
            "matrices are read. Save the model with an unpacked layout (UNPACKED_TO_INT8)"
        )
    num_outputs, num_inputs = weight_OI.shape
    stored = shard.read_stored(part, "_weight_scale")
    scale_OG = spread_scale(stored, (num_outputs, num_inputs), None, part.name)
    zero_OG = None
    if shard.has(part, "_weight_zero_point"):
        zero_OG = shard.read_stored(part, "_weight_zero_point")
    is_small = (
        weight_OI.dtype == torch.int8 and int(weight_OI.min()) >= -8 and int(weight_OI.max()) < 8
    )
    return stored_numbers(
        weight_OI,
        scale_OG,
        groups_of_inputs(num_inputs, scale_OG.shape[1], None, part.name),
        bits=4 if is_small else 8,
        zero_OG=zero_OG,
        rounds_inputs="DynamicActivation" in _kind(part),
    )


def _kind(part: LinearPart) -> str:
    """The name of the config with which it was made."""
    kinds = part.settings.get("quant_type") or {}
    return str((kinds.get("default") or {}).get("_type", ""))
