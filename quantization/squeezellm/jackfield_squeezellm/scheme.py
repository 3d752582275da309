"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class SqueezeLlmScheme(CompactScheme):
    """Codes of three or four bits for a table of each output, and outliers beside them."""

    methods = ("squeezellm",)
    features = frozenset({"quantization.method=squeezellm", "quantization.settings"})

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read qweight, lookup_table, and outliers if there are any."""
        from jackfield_squeezellm.reader import read_squeezellm

        return read_squeezellm(part, shard)
