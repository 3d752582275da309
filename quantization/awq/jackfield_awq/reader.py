"""Reads AWQ's tensors. O outputs, I inputs, G groups.

weight = (code - zero) * scale. Shapes and types decide the packing, whatever the config says: see packing.py.
Source: Lin et al. 2023, *AWQ*; the files of llm-awq, AutoAWQ, GPTQModel and AutoRound.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jackfield_awq import marlin
from jackfield_awq.packing import group_size_in, num_groups_of, packing_of
from jackfield_compact.bits import unpack_bits
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.reading import groups_of_inputs
from jackfield_compact.tables import integers
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart

_BITS = 4
_HALF = 8
_NIBBLE_OF_OUTPUT = (0, 4, 1, 5, 2, 6, 3, 7)  # order in a word of the gemm packing

Read = Callable[[LinearPart, LinearShard, Tensor, Tensor], CompactMatrix]


def read_awq(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError for shapes that fit no packing."""
    qweight, scales = (shard.read_stored(part, name) for name in ("qweight", "scales"))
    kind = str(qweight.dtype).removeprefix("torch.")
    shapes = tuple(qweight.shape), tuple(scales.shape)
    packing = packing_of(part.name, part.in_size, kind, *shapes)
    return _READERS[packing](part, shard, qweight, scales)


def _gemm(part: LinearPart, shard: LinearShard, qweight: Tensor, scales: Tensor) -> CompactMatrix:
    codes_OI = _in_order(qweight).T.contiguous()
    zero_OG = None
    if shard.has(part, "qzeros"):
        zero_OG = _in_order(shard.read_stored(part, "qzeros")).T
    return _matrix(part, codes_OI, scales.T.contiguous(), zero_OG)


def _gemv(part: LinearPart, shard: LinearShard, qweight: Tensor, scales: Tensor) -> CompactMatrix:
    num_groups = num_groups_of(part.name, part.in_size, scales.shape[1], part.settings)
    zero_OG = unpack_bits(shard.read_stored(part, "qzeros"), _BITS, 1, num_groups)
    codes_OI = unpack_bits(qweight, _BITS, 1, part.in_size)
    return _matrix(part, codes_OI, scales[:, :num_groups].contiguous(), zero_OG)


def _gemv_fast(
    part: LinearPart, shard: LinearShard, qweight: Tensor, scales: Tensor
) -> CompactMatrix:
    num_groups = num_groups_of(part.name, part.in_size, scales.shape[0], part.settings)
    name = "scaled_zeros" if shard.has(part, "scaled_zeros") else "qzeros"
    offset_OG = -shard.read_stored(part, name)[:num_groups].T.float()
    scale_OG = scales[:num_groups].T.contiguous()
    # The stored offset is for codes from 0; ours count from the middle.
    return CompactMatrix(
        codes_OI=_interleaved(qweight),
        bits=_BITS,
        table=integers(_BITS, _HALF),
        scale_OG=scale_OG,
        offset_OG=offset_OG - _HALF * scale_OG.float(),
        group_I=groups_of_inputs(part.in_size, num_groups, group_size_in(part.settings), part.name),
    )


def _marlin(part: LinearPart, shard: LinearShard, qweight: Tensor, scales: Tensor) -> CompactMatrix:
    codes_OI = marlin.codes(unpack_bits(qweight, _BITS, 1, 8 * qweight.shape[1]), part.in_size)
    return _matrix(part, codes_OI, marlin.scales(scales).T.contiguous(), None)


def _matrix(
    part: LinearPart, codes_OI: Tensor, scale_OG: Tensor, zero_OG: Tensor | None
) -> CompactMatrix:
    num_groups = scale_OG.shape[1]
    offset_OG = None
    if zero_OG is not None and bool((zero_OG != _HALF).any()):
        offset_OG = scale_OG.float() * (zero_OG.float() - _HALF)
    return CompactMatrix(
        codes_OI=codes_OI,
        bits=_BITS,
        table=integers(_BITS, _HALF),
        scale_OG=scale_OG,
        offset_OG=offset_OG,
        group_I=groups_of_inputs(part.in_size, num_groups, group_size_in(part.settings), part.name),
    )


def _in_order(words: Tensor) -> Tensor:
    """uint8 [rows, 8 * words] of the gemm packing."""
    nibbles = unpack_bits(words, _BITS, 1, 8 * words.shape[1]).view(len(words), -1, 8)
    return nibbles[..., list(_NIBBLE_OF_OUTPUT)].flatten(1)


def _interleaved(qweight: Tensor) -> Tensor:
    """uint8 [O, I]: four outputs a word over 64 inputs, of which each 32 are reordered."""
    shifts = torch.arange(0, 16, _BITS, dtype=torch.int32)
    nibbles = (qweight.int().unsqueeze(-1) >> shifts) & 15  # [O/4, I, 4]
    num_rows, num_inputs = qweight.shape
    kept = nibbles.reshape(num_rows, num_inputs // 64, 4, 64).transpose(1, 2)
    stored = kept.reshape(4 * num_rows, num_inputs // 32, 4, 2, 4)
    pairs = stored.transpose(3, 4).reshape(4 * num_rows, num_inputs // 32, 4, 4, 2)
    return pairs.transpose(2, 3).reshape(4 * num_rows, num_inputs).to(torch.uint8)


_READERS: dict[str, Read] = {
    "gemm": _gemm,
    "gemv": _gemv,
    "gemv_fast": _gemv_fast,
    "marlin": _marlin,
}
