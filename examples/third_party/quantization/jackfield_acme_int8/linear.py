"""The linear that runs: it multiplies by whole numbers and scales the sums. T tokens, I inputs, O outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jackfield.errors import CheckpointError
from jackfield_torch.interfaces.linear import Linear, LinearShard
from jackfield_torch.interfaces.quantization import LinearPart
from torch import Tensor


class Int8Linear(Linear):
    """y = (x w) * scale + bias. The weights stay in eight bits; a copy in x's dtype exists during a call only."""

    def __init__(self, weight_OI: Tensor, scale_O: Tensor, bias_O: Tensor | None) -> None:
        self._weight_OI, self._scale_O, self._bias_O = weight_OI, scale_O, bias_O

    def __call__(self, x_TI: Tensor) -> Tensor:
        # Weights of 8 bits are exact in bfloat16, and scales stay in float32, so only the sums are rounded.
        y_TO = F.linear(x_TI, self._weight_OI.to(x_TI.dtype)) * self._scale_O
        if self._bias_O is not None:
            y_TO += self._bias_O
        return y_TO.to(x_TI.dtype)


def load_linear(parts: Sequence[LinearPart], shard: LinearShard) -> Int8Linear:
    """This rank's share of all parts. Raises CheckpointError if a part is not stored as the tool stores it."""
    weights, scales, biases = zip(*(_read(part, shard) for part in parts), strict=True)
    has_bias = all(bias_O is not None for bias_O in biases)
    return Int8Linear(
        torch.cat(weights).to(shard.device),
        torch.cat(scales).flatten().to(shard.device),
        torch.cat(biases).to(shard.device, torch.float32) if has_bias else None,
    )


def _read(part: LinearPart, shard: LinearShard) -> tuple[Tensor, Tensor, Tensor | None]:
    """Weight, scale and bias of this rank. If inputs are split, every rank has the scales, so sums of ranks add up."""
    weight_OI = _expect(part, shard, "weight", torch.int8, (part.out_size, part.in_size))
    scale_O1 = _expect(part, shard, "weight_scale", torch.float32, (part.out_size, 1))
    bias_O = shard.read(part, "bias") if part.bias else None
    if part.split == "column":
        bias_O = None if bias_O is None else shard.cut(bias_O, 0, part.copies)
        return shard.cut(weight_OI, 0, part.copies), shard.cut(scale_O1, 0, part.copies), bias_O
    if part.split == "row":
        return shard.cut(weight_OI, 1), scale_O1, bias_O if shard.rank == 0 else None
    return weight_OI, scale_O1, bias_O


def _expect(
    part: LinearPart, shard: LinearShard, parameter: str, dtype: torch.dtype, shape: tuple[int, int]
) -> Tensor:
    found = shard.read(part, parameter)
    if found.dtype == dtype and tuple(found.shape) == shape:
        return found
    raise CheckpointError(
        f"{parameter} of {part.name} is {found.dtype} of shape {tuple(found.shape)}, expected {dtype} of {shape}. "
        "Write the checkpoint anew with jackfield acme-int8; models that store a transposed weight cannot be written so"
    )
