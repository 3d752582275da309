"""The card of the scheme. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.config.options import read_options
from jackfield_compact.scheme import CompactScheme
from jackfield_int4.options import Int4Options
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class Int4Scheme(CompactScheme):
    """Plain weights in four bits, with scale and offset for each group of an output's inputs. Chosen only if it is
    named.
    """

    only_named = True
    options = Int4Options
    methods = ("none",)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read and round a plain weight."""
        return self.load(part, shard)

    def load(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read and round a plain weight."""
        from jackfield_int4.rounding import round_to_int4

        options = read_options(Int4Options, "int4", shard.config)
        weight_OI = shard.read(part, "weight").to(shard.device)
        return round_to_int4(weight_OI, options.group_size, symmetric=options.symmetric)
