"""The card of a quantization scheme: how logical linears are stored and multiplied. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jackfield.interfaces.card import Card

if TYPE_CHECKING:  # the card is read where torch is not installed
    from jackfield_torch.interfaces.linear import ExpertLinear, Linear, LinearShard

KIND = "jackfield_torch.quantization"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationNeed:
    """What is asked of a scheme. Non-default fields are named features."""

    FEATURE: ClassVar[str] = "quantization"

    device: str  # "cpu", "cuda"
    dtype: str  # of activations
    method: str = (
        "none"  # `quantization_config.quant_method` of the checkpoint; none: plain weights
    )
    # what else quantization_config says of these linears, e.g. bits and group_size
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPart:
    """One logical linear before sharding."""

    name: str  # "layers.3.mixer.q"
    in_size: int  # elements, of all ranks
    out_size: int  # elements, of all ranks
    bias: bool = False  # it has one
    split: str = "column"  # "column" (outputs), "row" (inputs) or "none"
    copies: int = 1  # consecutive ranks with the same share: kv heads where ranks outnumber them
    # `settings` of the need that was served; empty if the weights are plain
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


class QuantizationScheme(Card):
    """Makes linears. `check(QuantizationNeed, facts)`."""

    @abstractmethod
    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True if these column-parallel parts, which share input and settings, may become one matrix."""

    @abstractmethod
    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """A linear over the parts, their outputs concatenated in this order. Reads weights through `shard`.

        Raises an error of jackfield.errors for shapes that it cannot store or share, and passes on the
        CheckpointError of a parameter that is missing or has another shape.
        """

    def create_experts(
        self, experts: Sequence[Sequence[LinearPart]], shard: LinearShard
    ) -> ExpertLinear | None:
        """One matrix multiplication for many experts, whose parts are alike but for their names.

        None, the default: this scheme has none on that device, and `create` is called for each expert.
        """
        return None
