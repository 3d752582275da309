"""The card of the scheme. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # a card is read where torch is not installed
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class Int8Scheme(CompactScheme):
    """Plain weights in eight bits, a scale for each output; inputs as well where that is faster. Only where it is named."""

    only_named = True
    methods = ("none",)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """A plain weight, rounded."""
        return self.load(part, shard)

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """A plain weight, rounded."""
        from jackfield_int8.rounding import round_to_int8

        return round_to_int8(shard.read(part, "weight").to(shard.device))
