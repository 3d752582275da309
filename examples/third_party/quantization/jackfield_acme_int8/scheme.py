"""The card: which checkpoints the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jackfield.decision import Reason
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.quantization import (
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

if TYPE_CHECKING:  # a card is read where torch is not installed
    from jackfield_torch.interfaces.linear import Linear, LinearShard

METHOD = "acme_int8"  # `quantization_config.quant_method`


class Int8Scheme(QuantizationScheme):
    """Stored weights of eight bits, on any device, in any dtype of activations that has float32's range."""

    features = frozenset({f"quantization.method={METHOD}"})

    def check(self, need: QuantizationNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses plain weights, other methods, and float16: sums of unscaled products do not fit into it."""
        reasons = []
        if need.method != METHOD:
            text = f"reads weights that are stored in eight bits, these are {need.method}"
            remedy = f"write such a checkpoint: jackfield {METHOD.replace('_', '-')} SOURCE TARGET"
            reasons.append(Reason("method", text, remedy))
        if need.dtype == "float16":
            text = "adds up before it scales, which may be more than float16 holds"
            reasons.append(Reason("dtype", text, "set model.dtype to bfloat16 or float32"))
        return tuple(reasons)

    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """Scales belong to outputs, so column-parallel parts of one input can always stand in one matrix."""
        return {part.split for part in parts} == {"column"} and (
            len({(part.in_size, part.bias) for part in parts}) == 1
        )

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """A linear over all parts, their outputs one after another."""
        from jackfield_acme_int8.linear import load_linear

        return load_linear(parts, shard)
