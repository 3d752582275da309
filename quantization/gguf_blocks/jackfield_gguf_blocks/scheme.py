"""The card of the scheme. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import Linear, LinearShard


class GgufBlocksScheme(CompactScheme):
    """Matrices in the blocks of their GGUF file. Unsupported blocks become plain weights. Chosen only if it is named."""

    only_named = True
    methods = ("none",)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read the blocks of a part."""
        from jackfield_gguf_blocks.reader import read_blocks

        return read_blocks(part, shard)

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """One linear over the parts; if some are stored plainly, one linear after another."""
        from jackfield_gguf_blocks.reader import has_blocks
        from jackfield_torch.layers.linear import JoinedLinear, build_linear

        in_blocks = {has_blocks(part, shard) for part in parts}
        if in_blocks == {True}:
            return super().create(parts, shard)
        if in_blocks == {False}:
            return build_linear(parts, shard)
        return JoinedLinear([self.create([part], shard) for part in parts])
