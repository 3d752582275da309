"""The card: which checkpoints the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # a card is read where torch is not installed
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class SqueezeLlmScheme(CompactScheme):
    """Codes of three or four bits into a table of each output, and outliers beside them."""

    methods = ("squeezellm",)
    features = frozenset({"quantization.method=squeezellm", "quantization.settings"})

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """qweight, lookup_table, and the outliers where there are any."""
        from jackfield_squeezellm.reader import read_squeezellm

        return read_squeezellm(part, shard)
