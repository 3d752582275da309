"""Models whose layers are computed by code of another library: the code's inputs, and the interface that it implements.

`ModelSpec.foreign` names a subclass of ForeignModel. The runtime keeps cache, attention, linears, steps and sampling.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart

RUNTIME = "jackfield_torch"
"""The value of `ForeignCode.runtime` for subclasses of ForeignModel."""


class ForeignStep(Protocol):
    """The attention of one step; valid until the step ends."""

    def attend(self, layer: int, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor) -> Tensor:
        """Write keys and values of the T tokens of all rows into the cache of `layer`, then attend: o_TNH.

        N query heads and K kv heads of this rank, H head size of the spec. Query n reads kv head n // (N // K).
        """


class Ranks(Protocol):
    """The ranks that share the model, as seen by one of them. All ranks call the same methods in the same order."""

    rank: int
    num_ranks: int

    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum over all ranks; may be computed in place."""

    def all_gather(self, x: Tensor) -> Tensor:
        """The tensors of all ranks, in order, side by side in the last axis."""


class Parameters(Protocol):
    """The parameters of a checkpoint, as `ForeignModel.checkpoint` shows it. If it has none, they are random."""

    def has(self, module: str, parameter: str) -> bool:
        """True if the module has that parameter."""

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A tensor in memory of its own, as stored, on the host. Raises CheckpointError if it is missing or has another
        shape.
        """

    def norm_weight(self, module: str, size: int, fill: float) -> Tensor:
        """The weight of a norm in float32. If weights are random, it is `fill`, which makes the norm neutral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignContext:
    """The facts and functions from which a rank makes the model."""

    spec: ModelSpec
    device: torch.device  # device for parameters
    dtype: torch.dtype  # dtype of activations
    max_length: int  # tokens of the longest row
    ranks: Ranks
    parameters: Parameters
    # Makes the linear of a part whose name is in `ForeignCode.linears`, with the selected scheme. If the weight is
    # shared with another parameter (a head tied to the embedding), the second argument is that weight, in `dtype` on
    # `device`.
    linear: Callable[[LinearPart, Tensor | None], Linear]


class ForeignDecoder(ABC):
    """One rank's share of the model."""

    # For layers with sinks: float32, one for each head of this rank.
    sinks: Mapping[int, Tensor] = {}
    can_capture: ClassVar[bool] = False  # True: a device graph may record a step
    details: Mapping[str, str] = {}  # how the model was built, for logs

    @abstractmethod
    def forward(self, token_ids_T: Tensor, positions_T: Tensor, attention: ForeignStep) -> Tensor:
        """hidden_TE of the tokens of all rows, one row after the other, in the form that `logits` takes.

        Only `attention` may let a token see others, and each layer of the spec must attend once, in order.
        """

    @abstractmethod
    def logits(self, hidden_SE: Tensor) -> Tensor:
        """Scores of the whole vocabulary, on every rank, for any of the tokens."""


class ForeignModel(ABC):
    """The class that `ForeignCode.target` names. It is made without arguments, in the worker."""

    def checkpoint(self, stored: Checkpoint, spec: ModelSpec) -> Checkpoint:
        """The checkpoint with the names that the code gives its tensors. Tensors left out are not reported as unused."""
        return stored

    @abstractmethod
    def create(self, context: ForeignContext) -> ForeignDecoder:
        """Load the model. Runs under torch.inference_mode(). Raises ModelError."""
