"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jackfield.decision import Reason
from jackfield.stored_linear import StoredLinear
from jackfield_awq.packing import check_packing
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard

_BITS = 4
_PACKING = "auto_round:auto_awq"  # AutoRound's name for the same tensors


class AwqScheme(CompactScheme):
    """Codes of four bits, a scale and a zero point for each group and output, in four orders."""

    methods = ("awq", "auto-round")
    features = frozenset(
        {
            "quantization.method=awq",
            "quantization.method=auto-round",
            "quantization.settings",
        }
    )

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuse other packings and numbers of bits."""
        packing = settings.get("packing_format", _PACKING)
        if packing != _PACKING:
            text = f"reads {_PACKING}, this is {packing}"
            yield Reason("packing", text, "install jackfield-gptq")
        bits = settings.get("bits", settings.get("w_bit", _BITS))
        if bits != _BITS:
            text = f"reads codes of {_BITS} bits, not {bits!r}"
            yield Reason("bits", text, "take a checkpoint of four bits, or one made by GPTQ")

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        check_packing(linear, settings)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read qweight, qzeros and scales in the packing that their shapes show."""
        from jackfield_awq.reader import read_awq

        return read_awq(part, shard)
