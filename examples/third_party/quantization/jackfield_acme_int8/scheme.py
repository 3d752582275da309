"""The card: the checkpoints that the scheme reads, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield_torch.interfaces.quantization import (
    LinearPart,
    QuantizationNeed,
    QuantizationScheme,
)

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.linear import Linear, LinearShard

METHOD = "acme_int8"  # `quantization_config.quant_method`


class Int8Scheme(QuantizationScheme):
    """Stored weights of eight bits, on any device, for activations in any dtype with the range of float32."""

    features = frozenset({f"quantization.method={METHOD}"})

    def check(self, need: QuantizationNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuse plain weights, other methods, what is not stored so, and float16, which cannot hold unscaled sums."""
        reasons = []
        if need.method != METHOD:
            text = f"reads weights that are stored in eight bits, these are {need.method}"
            remedy = f"write such a checkpoint: jackfield {METHOD.replace('_', '-')} SOURCE TARGET"
            reasons.append(Reason("method", text, remedy))
        if need.dtype == "float16":
            text = "adds up before it scales, which may be more than float16 holds"
            reasons.append(Reason("dtype", text, "set model.dtype to bfloat16 or float32"))
        for linear in need.stored:
            try:
                linear.expect("weight", linear.out_size, linear.in_size)
                linear.expect("weight_scale", linear.out_size, 1)
            except CheckpointError as error:
                reasons.append(Reason("stored", str(error)))
                break  # others mostly have the same cause
        return tuple(reasons)

    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True for column-parallel parts of one input. Scales belong to outputs, so such parts can share a matrix."""
        return {part.split for part in parts} == {"column"} and (
            len({(part.in_size, part.bias) for part in parts}) == 1
        )

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """Make a linear over all parts, with their outputs one after another."""
        from jackfield_acme_int8.linear import load_linear

        return load_linear(parts, shard)
