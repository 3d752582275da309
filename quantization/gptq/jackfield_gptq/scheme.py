"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jackfield.decision import Reason
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import bits_of, group_size_of, num_words
from jackfield_compact.scheme import CompactScheme
from jackfield_torch.interfaces.quantization import LinearPart

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_compact.matrix import CompactMatrix
    from jackfield_torch.interfaces.linear import LinearShard

_FORMATS = ("gptq", "gptq_v2", "gptq_p")
_BITS = range(2, 9)
_PACKING = "auto_round:auto_gptq"  # AutoRound's name for the same tensors


class GptqScheme(CompactScheme):
    """Codes of 2 to 8 bits along the inputs, a scale and a zero point for each group and output."""

    methods = ("gptq", "auto-round")
    features = frozenset(
        {
            "quantization.method=gptq",
            "quantization.method=auto-round",
            "quantization.settings",
        }
    )

    def check_settings(self, settings: Mapping[str, Any]) -> Iterator[Reason]:
        """Refuse packings for a single kernel, and numbers of bits that no packing has."""
        packing = settings.get("packing_format", _PACKING)
        if packing != _PACKING:
            yield Reason("packing", f"reads {_PACKING}, this is {packing}", "install jackfield-awq")
        name = settings.get("checkpoint_format") or settings.get("format") or _FORMATS[0]
        if name not in _FORMATS:
            text = f"reads the formats {', '.join(_FORMATS)}, this is {name}"
            yield Reason("format", text, "take the checkpoint in one of these formats")
        bits = settings.get("bits", 4)
        if bits not in _BITS:
            text = f"reads codes of {_BITS[0]} to {_BITS[-1]} bits, not {bits!r}"
            yield Reason("bits", text, "take a checkpoint of so many bits")

    def check_stored(self, linear: StoredLinear, settings: Mapping[str, Any]) -> None:
        """See CompactScheme."""
        packed, scales = linear.tensor("qweight"), linear.expect("scales", None, linear.out_size)
        num_groups, num_outputs = scales.shape
        linear.expect("qweight", None, num_outputs)
        if linear.in_size is None:
            return
        bits = bits_of(
            f"qweight of {linear.name}", linear.in_size, packed.shape[0], settings.get("bits", 4)
        )
        if "qzeros" in linear.tensors:
            linear.expect("qzeros", num_groups, num_words(num_outputs, bits))
        if "g_idx" in linear.tensors:
            linear.expect("g_idx", linear.in_size)
        else:
            group_size_of(linear.in_size, num_groups, settings.get("group_size"), linear.name)

    def read(self, part: LinearPart, shard: LinearShard) -> CompactMatrix:
        """Read qweight, qzeros, scales and g_idx."""
        from jackfield_gptq.reader import read_gptq

        return read_gptq(part, shard)
