"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jackfield.decision import Reason
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import check_type
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard

_ALGORITHM = "NVFP4"
_GROUP = 16  # inputs


class Nvfp4Scheme(CompactScheme):
    """Weights of four bits in floating point, with 8-bit scales for each 16 inputs and one scale for the matrix."""

    methods = ("modelopt",)
    features = frozenset({"quantization.method=modelopt", "quantization.settings"})

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuse ModelOpt's other formats."""
        algorithm = settings.get("quant_algo", _ALGORITHM)
        if algorithm != _ALGORITHM:
            text = f"reads {_ALGORITHM} of ModelOpt, this is {algorithm}"
            yield Reason("format", text, "install the scheme of that format, e.g. jackfield-fp8")

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        packed = linear.expect("weight", linear.out_size, linear.in_size and linear.in_size // 2)
        check_type(linear, "weight", ("uint8",))
        num_outputs, num_bytes = packed.shape
        linear.expect("weight_scale", num_outputs, 2 * num_bytes // _GROUP)
        linear.tensor("weight_scale_2")

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read weight, weight_scale and weight_scale_2."""
        from jackfield_nvfp4.reader import read_nvfp4

        return read_nvfp4(part, shard)
