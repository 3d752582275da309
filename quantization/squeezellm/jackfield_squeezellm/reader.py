"""SqueezeLLM's tensors. O outputs, I inputs.

qweight int32 [I * bits / 32, O], lookup_table [O, 2 ** bits]; outliers as a sparse matrix over [O, I]: rows int32
[O + 1], cols int32, vals float32; and whole outputs: full_rows [I, N] of the outputs full_row_indices [N].
weight = lookup_table[output, code] + outlier.
Source: Kim et al. 2023, *SqueezeLLM: Dense-and-Sparse Quantization*, and the files of its repository.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_compact.bits import unpack_bits
from jackfield_compact.matrix import CompactMatrix, Outliers
from jackfield_squeezellm.scheme import bits_of_table
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart


def read_squeezellm(part: LinearPart, shard: LinearShard) -> CompactMatrix:
    """The stored matrix of a part. Raises CheckpointError."""
    table = shard.read_stored(part, "lookup_table").float()
    qweight = shard.read_stored(part, "qweight")
    bits = bits_of_table(part.name, table.shape[1], part.in_size, tuple(qweight.shape))
    return CompactMatrix(
        codes_OI=unpack_bits(qweight, bits, 0, part.in_size).T.contiguous(),
        bits=bits,
        table=table,
        scale_OG=torch.ones(len(table), 1),
        group_I=torch.zeros(part.in_size, dtype=torch.int64),
        outliers=_outliers(part, shard, len(table)),
    )


def _outliers(part: LinearPart, shard: LinearShard, num_outputs: int) -> Outliers | None:
    if not shard.has(part, "rows"):
        return None
    starts, inputs, values = (shard.read_stored(part, name) for name in ("rows", "cols", "vals"))
    # Where the threads of its kernel begin; read so that it counts as used.
    if shard.has(part, "startrows"):
        shard.read_stored(part, "startrows")
    found = Outliers(starts=starts.int(), inputs=inputs.int(), values=values.float())
    if shard.has(part, "full_rows"):
        full_IN = shard.read_stored(part, "full_rows").float()
        index_N = shard.read_stored(part, "full_row_indices")
        found = _with_whole_outputs(found, full_IN, index_N, num_outputs)
    return found


def _with_whole_outputs(
    outliers: Outliers, full_IN: Tensor, index_N: Tensor, num_outputs: int
) -> Outliers:
    num_inputs = full_IN.shape[0]
    counts = outliers.starts.diff().long()
    rows = torch.cat(
        [
            torch.arange(num_outputs).repeat_interleave(counts),
            index_N.long().repeat_interleave(num_inputs),
        ]
    )
    inputs = torch.cat([outliers.inputs, torch.arange(num_inputs).repeat(len(index_N)).int()])
    values = torch.cat([outliers.values, full_IN.T.flatten()])
    order = rows.argsort(stable=True)
    starts = torch.bincount(rows, minlength=num_outputs).cumsum(0)
    return Outliers(
        starts=torch.cat([starts.new_zeros(1), starts]).int(),
        inputs=inputs[order],
        values=values[order],
    )
