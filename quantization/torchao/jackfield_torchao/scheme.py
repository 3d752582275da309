"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


class TorchAoScheme(CompactScheme):
    """int8, unpacked int4 and float8 weights in safetensors, with scales of outputs or groups."""

    methods = ("torchao",)
    features = frozenset({"quantization.method=torchao", "quantization.settings"})

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read _weight_qdata, _weight_scale and _weight_zero_point."""
        from jackfield_torchao.reader import read_torchao

        return read_torchao(part, shard)
