"""From parts of a checkpoint to a running linear: read, cut for this rank, joined, packed."""

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
    """This rank's linear over the parts, in the fastest way of the device for these weights."""
    matrices = [_share(part, shard, load(part, shard)) for part in parts]
    biases = [_bias(part, shard) for part in parts]
    if can_join(matrices):
        bias_O = None if biases[0] is None else torch.cat([b for b in biases if b is not None])
        return _linear(join(matrices), bias_O, shard)
    return JoinedLinear([_linear(*one, shard) for one in zip(matrices, biases, strict=True)])


def _share(part: LinearPart, shard: LinearShard, whole: CompactMatrix) -> CompactMatrix:
    """This rank's share of a part. Raises CheckpointError if the part has another shape."""
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
    """float32. The bias of a row-parallel linear is on rank 0 alone."""
    if not part.bias or (part.split == "row" and shard.rank > 0):
        return None
    bias_O = shard.read(part, "bias").float()
    if part.split == "column":
        bias_O = shard.cut(bias_O, 0, part.copies).clone()
    return bias_O


def _device_linear(matrix: CompactMatrix, bias_O: Tensor | None, shard: LinearShard) -> Linear:
    """The linear on a card. If the kernels have no order for the matrix, torch dequantises it for each call."""
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
    """The compiled kernel on a processor, Triton's on a card. Inputs are rounded only if activations are not float32."""
    if shard.device.type == "cuda" and find_spec("triton") is not None:
        return _device_linear(matrix, bias_O, shard)
    level = kernel_level() if shard.device.type == "cpu" else Level.TORCH
    if level == Level.TORCH:
        return ReferenceLinear(matrix, bias_O, shard.device, shard.dtype)
    if rounds(matrix) and level >= Level.AVX512 and shard.dtype == torch.bfloat16:
        return RoundingLinear(matrix, bias_O)
    return NativeLinear(matrix, bias_O)
