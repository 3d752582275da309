"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import check_scale, check_type
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard


_TYPES = ("int8", "float8_e4m3", "float8_e5m2")


class TorchAoScheme(CompactScheme):
    """int8, unpacked int4 and float8 weights in safetensors, with scales of outputs or groups."""

    methods = ("torchao",)
    features = frozenset({"quantization.method=torchao", "quantization.settings"})

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        check_type(linear, "_weight_qdata", _TYPES)
        num_outputs, num_inputs = linear.expect(
            "_weight_qdata", linear.out_size, linear.in_size
        ).shape
        scale = linear.tensor("_weight_scale")
        check_scale(scale.shape, (num_outputs, num_inputs), None, linear.name)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read _weight_qdata, _weight_scale and _weight_zero_point."""
        from jackfield_torchao.reader import read_torchao

        return read_torchao(part, shard)
