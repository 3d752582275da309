"""Packed parameters as one matrix. A parameter `weight.FORMAT` is uint8 [O, bytes of a row] and holds whole blocks."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.errors import CheckpointError
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.tables import integers
from jackfield_gguf_blocks.formats import FORMATS, BlockFormat
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart


def has_blocks(part: LinearPart, shard: LinearShard) -> bool:
    """True if the part is stored in blocks of a supported format."""
    return any(shard.has(part, f"weight.{name}") for name in FORMATS)


def read_blocks(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The matrix of a part in its blocks. Raises CheckpointError."""
    name = next(name for name in FORMATS if shard.has(part, f"weight.{name}"))
    block_format = FORMATS[name]
    rows_OB = shard.read_stored(part, f"weight.{name}")
    num_outputs, num_bytes = rows_OB.shape
    if num_bytes % block_format.bytes:
        raise CheckpointError(
            f"a row of {part.name} has {num_bytes} bytes, which are no blocks of {block_format.bytes} bytes as {name} "
            "has them. Fetch the file again"
        )
    fields = block_format.unpack(rows_OB.view(num_outputs, -1, block_format.bytes))
    codes_OI = fields.codes.reshape(num_outputs, -1)
    scale_OG = _in_groups(fields.scale, num_outputs)
    num_groups = scale_OG.shape[1]
    return CompactMatrix(
        codes_OI=codes_OI,
        bits=block_format.bits,
        table=_table(block_format),
        scale_OG=scale_OG,
        offset_OG=_offsets(fields.scale, fields.least, block_format.middle, num_outputs),
        group_I=torch.arange(codes_OI.shape[1]) // (codes_OI.shape[1] // num_groups),
    )


def _table(block_format: BlockFormat) -> Tensor:
    """float32 [2 ** bits]: the values of codes."""
    if block_format.table is None:
        return integers(block_format.bits, block_format.middle)
    values = torch.tensor(block_format.table, dtype=torch.float32)
    return torch.nn.functional.pad(values, (0, 2**block_format.bits - len(values)))


def _offsets(scale: Tensor, least: Tensor | None, middle: int, num_outputs: int) -> Tensor | None:
    """scale * code + least is scale * (code - middle) - offset."""
    if least is None:
        return None
    return _in_groups(-(least.float() + scale.float() * middle), num_outputs)


def _in_groups(values: Tensor, num_outputs: int) -> Tensor:
    return values.reshape(num_outputs, -1).contiguous()
