"""The scheme of plain weights, for checkpoints without a quantization method. Imports no torch."""

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

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.linear import ExpertLinear, Linear, LinearShard


class UnquantizedScheme(QuantizationScheme):
    """Weights in the dtype of the activations. Column-parallel parts that share an input become one matrix."""

    def check(self, need: QuantizationNeed, facts: Facts) -> tuple[Reason, ...]:
        """Refuses checkpoints that name a quantization method."""
        if need.method == "none":
            return ()
        text = f"reads plain weights only, the checkpoint is {need.method}"
        return (Reason("method", text, "take a checkpoint with plain weights"),)

    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True for column-parallel parts of one input that all have a bias, or all have none."""
        return len({(part.in_size, part.bias) for part in parts}) == 1 and {
            part.split for part in parts
        } == {"column"}

    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """One matrix multiplication over all parts, in the fastest way of the device."""
        from jackfield_torch.layers.linear import build_linear

        return build_linear(parts, shard)

    def create_experts(
        self, experts: Sequence[Sequence[LinearPart]], shard: LinearShard
    ) -> ExpertLinear | None:
        """One tensor for all. GPUs have a Triton kernel, processors a product for each expert that has rows.

        Other devices have none, because the rows of an expert must not be counted on the host.
        """
        from jackfield_torch.layers.stacked_experts import StackedLinear, matmul_each

        if shard.device.type == "cpu":
            return StackedLinear(experts, shard, matmul_each)
        if shard.device.type != "cuda":
            return None
        from jackfield_torch.kernels.experts import grouped_matmul

        return StackedLinear(experts, shard, grouped_matmul)
