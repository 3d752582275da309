"""The card: which checkpoints the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jackfield.decision import Reason
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # a card is read where torch is not installed
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard

_ALGORITHM = "NVFP4"


class Nvfp4Scheme(CompactScheme):
    """Weights of four bits in floating point, scales of eight for each 16 inputs, and one for the matrix."""

    methods = ("modelopt",)
    features = frozenset({"quantization.method=modelopt", "quantization.settings"})

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuses ModelOpt's other formats."""
        algorithm = settings.get("quant_algo", _ALGORITHM)
        if algorithm != _ALGORITHM:
            text = f"reads {_ALGORITHM} of ModelOpt, this is {algorithm}"
            yield Reason("format", text, "install the scheme of that format, e.g. jackfield-fp8")

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """weight, weight_scale and weight_scale_2."""
        from jackfield_nvfp4.reader import read_nvfp4

        return read_nvfp4(part, shard)
