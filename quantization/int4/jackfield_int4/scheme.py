"""The card of the scheme. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # a card is read where torch is not installed
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class Int4Scheme(CompactScheme):
    """Plain weights in four bits, scale and offset for each 32 inputs of an output. Only where it is named."""

    only_named = True
    methods = ("none",)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """A plain weight, rounded."""
        return self.load(part, shard)

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """A plain weight, rounded."""
        from jackfield_int4.rounding import round_to_int4

        return round_to_int4(shard.read(part, "weight"))
