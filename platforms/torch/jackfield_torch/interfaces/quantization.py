"""The card of a quantization scheme: how logical linears are stored and multiplied. Imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from jackfield.interfaces.card import Card
from jackfield.stored_linear import StoredLinear as StoredLinear

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.linear import ExpertLinear, Linear, LinearShard

KIND = "jackfield_torch.quantization"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationNeed:
    """What some linears need of a scheme. Non-default fields are named features."""

    FEATURE: ClassVar[str] = "quantization"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"stored"})

    device: str  # "cpu", "cuda"
    dtype: str  # dtype of activations
    # `quantization_config.quant_method` of the checkpoint. "none": plain weights.
    method: str = "none"
    # Other parameters in quantization_config for these linears, e.g. bits and group_size.
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    # The tensors of these linears in the checkpoint, one of each kind; empty if nothing is known of them. A scheme
    # refuses here what it could not read later.
    stored: tuple[StoredLinear, ...] = field(default=(), hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPart:
    """One logical linear before sharding."""

    name: str  # "layers.3.mixer.q"
    in_size: int  # elements on all ranks together
    out_size: int  # elements on all ranks together
    bias: bool = False  # True: it has a bias
    split: str = "column"  # "column" (outputs), "row" (inputs) or "none"
    # Number of consecutive ranks with the same share; above 1 for kv heads if there are more ranks than heads.
    copies: int = 1
    # `settings` of the need that was served; empty if the weights are plain.
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)


class QuantizationScheme(Card):
    """Makes linears. `check(QuantizationNeed, facts)`."""

    @abstractmethod
    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        """True if these column-parallel parts, which share input and settings, may become one matrix."""

    @abstractmethod
    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        """A linear over the parts, their outputs concatenated in this order. Reads weights through `shard`.

        Raises an error of jackfield.errors for shapes that it cannot store or share. Does not catch the
        CheckpointError of a parameter that is missing or has another shape.
        """

    def create_experts(
        self, experts: Sequence[Sequence[LinearPart]], shard: LinearShard
    ) -> ExpertLinear | None:
        """One matrix multiplication for many experts, whose parts differ only in their names.

        None, the default: the scheme has none for this device, so `create` is called for each expert. It is asked if the
        choice of experts stays on the device. Processors ask it only if their kernels take plain stacked weights
        (`Kernels.stacks_experts`), and otherwise call `create` for each expert.
        """
        return None
