"""The card of the scheme. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class Int8Scheme(CompactScheme):
    """Plain weights in eight bits, with a scale for each output; also inputs if that is faster. Chosen only if it is
    named.
    """

    only_named = True
    methods = ("none",)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read and round a plain weight."""
        return self.load(part, shard)

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read and round a plain weight."""
        from jackfield_int8.rounding import round_to_int8

        return round_to_int8(shard.read(part, "weight").to(shard.device))
