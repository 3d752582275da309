"""From parts of a checkpoint to the linear that runs: read, cut to this rank, joined, packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.kernel import Level, kernel_level
from jackfield_compact.matrix import CompactMatrix, can_join, join
from jackfield_compact.native import NativeLinear, RoundingLinear, rounds
from jackfield_compact.reference import ReferenceLinear
from jackfield_torch.interfaces.linear import Linear, LinearShard
from jackfield_torch.interfaces.quantization import LinearPart
from jackfield_torch.layers.linear import JoinedLinear

Load = Callable[[LinearPart, LinearShard], CompactMatrix]


def build_linear(parts: Sequence[LinearPart], shard: LinearShard, load: Load) -> Linear:
    """This rank's linear over the parts, by the fastest way that the device has for these weights."""
    matrices = [_share(part, shard, load(part, shard)) for part in parts]
    biases = [_bias(part, shard) for part in parts]
    if can_join(matrices):
        bias_O = None if biases[0] is None else torch.cat([b for b in biases if b is not None])
        return _linear(join(matrices), bias_O, shard)
    return JoinedLinear([_linear(*one, shard) for one in zip(matrices, biases, strict=True)])


def _share(part: LinearPart, shard: LinearShard, whole: CompactMatrix) -> CompactMatrix:
    """What this rank holds of a part. Raises CheckpointError if it has another shape."""
    if whole.shape != (part.out_size, part.in_size):
        raise CheckpointError(
            f"the stored weight of {part.name} has shape {whole.shape}, expected {(part.out_size, part.in_size)}. "
            "Check that the config belongs to this checkpoint, and its bits and group_size"
        )
    if part.split == "column":
        return whole.outputs(shard.cut(torch.arange(part.out_size), 0, part.copies))
    if part.split == "row":
        index_I = shard.cut(torch.arange(part.in_size), 0)
        start = int(index_I[0]) if len(index_I) else 0
        return whole.inputs(start, start + len(index_I))
    return whole


def _bias(part: LinearPart, shard: LinearShard) -> Tensor | None:
    """float32; of a row-parallel linear on rank 0 alone."""
    if not part.bias or (part.split == "row" and shard.rank > 0):
        return None
    bias_O = shard.read(part, "bias").float()
    if part.split == "column":
        bias_O = shard.cut(bias_O, 0, part.copies).clone()
    return bias_O


def _device_linear(matrix: CompactMatrix, bias_O: Tensor | None, shard: LinearShard) -> Linear:
    """A matrix that the kernels have no order for is dequantised by torch for each call."""
    from jackfield_compact.device.blocks import block_order
    from jackfield_compact.device.linear import DeviceLinear
    from jackfield_compact.device.outliers import SparseWeights
    from jackfield_compact.device.rounding import can_round

    blocks = block_order(matrix, shard.device)
    if blocks is None:
        return ReferenceLinear(matrix, bias_O, shard.device, shard.dtype)
    outliers = matrix.outliers
    return DeviceLinear(
        blocks,
        bias_O,
        shard.dtype,
        sparse=None if outliers is None else SparseWeights(outliers, shard.device),
        rounds=matrix.rounds_inputs and can_round(blocks, shard.dtype),
    )


def _linear(matrix: CompactMatrix, bias_O: Tensor | None, shard: LinearShard) -> Linear:
    """On a processor the compiled kernel, on a card Triton's. Inputs are rounded only where activations are: never in float32."""
    if shard.device.type == "cuda" and find_spec("triton") is not None:
        return _device_linear(matrix, bias_O, shard)
    level = kernel_level() if shard.device.type == "cpu" else Level.TORCH
    if level == Level.TORCH:
        return ReferenceLinear(matrix, bias_O, shard.device, shard.dtype)
    if rounds(matrix) and level >= Level.AVX512 and shard.dtype == torch.bfloat16:
        return RoundingLinear(matrix, bias_O)
    return NativeLinear(matrix, bias_O)
