"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class BitsAndBytesScheme(CompactScheme):
    """NF4 and FP4 with plain or quantized scales of blocks, and int8 with a scale for each output."""

    methods = ("bitsandbytes",)
    features = frozenset({"quantization.method=bitsandbytes", "quantization.settings"})

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read the format that the tensors show."""
        from jackfield_bitsandbytes.reader import read_bitsandbytes

        return read_bitsandbytes(part, shard)
