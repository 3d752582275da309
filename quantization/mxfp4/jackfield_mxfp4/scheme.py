"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jackfield.stored_linear import StoredLinear
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


_GROUP = 32  # inputs


class Mxfp4Scheme(CompactScheme):
    """Weights of four bits in floating point, with a power of two for each 32 inputs."""

    methods = ("mxfp4",)
    features = frozenset({"quantization.method=mxfp4", "quantization.settings"})

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        num_groups = linear.in_size and linear.in_size // _GROUP
        blocks = linear.expect("blocks", linear.out_size, num_groups, _GROUP // 2)
        linear.expect("scales", *blocks.shape[:2])

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read blocks and scales."""
        from jackfield_mxfp4.reader import read_mxfp4

        return read_mxfp4(part, shard)
