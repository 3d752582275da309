"""Models whose layers are computed by code of another library: what it is given, and what the runtime asks of it.

`ModelSpec.foreign` names a subclass of ForeignModel. Cache, attention, linears, steps and sampling stay the runtime's.
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
"""What `ForeignCode.runtime` says of a subclass of ForeignModel."""


class ForeignStep(Protocol):
    """One step's attention; valid until the step ends."""

    def attend(self, layer: int, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor) -> Tensor:
        """Write keys and values of the T tokens of all rows into the cache of `layer`, then attend: o_TNH.

        N query heads and K kv heads of this rank, H head size of the spec. Query n reads kv head n // (N // K).
        """


class Ranks(Protocol):
    """The ranks that share the model, as one of them sees them. All call the same methods in the same order."""

    rank: int
    num_ranks: int

    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum over all ranks; may be computed in place."""

    def all_gather(self, x: Tensor) -> Tensor:
        """The tensors of all ranks, in their order, side by side in the last axis."""


class Parameters(Protocol):
    """The parameters of a checkpoint, as `ForeignModel.checkpoint` shows it; or random ones, if it holds none."""

    def has(self, module: str, parameter: str) -> bool:
        """True where the module has that parameter."""

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A tensor of its own memory, as stored, on the host. Raises CheckpointError, which names it, if it is missing
        or of another shape."""

    def norm_weight(self, module: str, size: int, fill: float) -> Tensor:
        """The weight of a norm in float32; random weights give `fill`, which leaves its input alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignContext:
    """What a rank makes the model from."""

    spec: ModelSpec
    device: torch.device  # where parameters belong
    dtype: torch.dtype  # of activations
    max_length: int  # tokens of the longest row
    ranks: Ranks
    parameters: Parameters
    # The linear of a part whose name is one of `ForeignCode.linears`, by the scheme that was selected for it. The second
    # argument gives the weight where it is another parameter's too (a head tied to the embedding), in `dtype` on `device`.
    linear: Callable[[LinearPart, Tensor | None], Linear]


class ForeignDecoder(ABC):
    """One rank's share of the model."""

    sinks: Mapping[int, Tensor] = {}  # by layer that has them: float32, of each head of this rank
    can_capture: ClassVar[bool] = False  # True: a graph of the device may record a step of it
    details: Mapping[str, str] = {}  # how it was built, for logs

    @abstractmethod
    def forward(self, token_ids_T: Tensor, positions_T: Tensor, attention: ForeignStep) -> Tensor:
        """hidden_TE of the tokens of all rows, one row after the other, as `logits` takes them.

        Nothing but `attention` may let a token see others, and each layer of the spec attends once, in order.
        """

    @abstractmethod
    def logits(self, hidden_SE: Tensor) -> Tensor:
        """Scores of the whole vocabulary on every rank, for any of the tokens."""


class ForeignModel(ABC):
    """The target of `ForeignCode.target`, made without arguments in the worker."""

    def checkpoint(self, stored: Checkpoint, spec: ModelSpec) -> Checkpoint:
        """The checkpoint under the names that the code gives its tensors. Tensors that are left out are never told as unused."""
        return stored

    @abstractmethod
    def create(self, context: ForeignContext) -> ForeignDecoder:
        """Load the model. Runs under torch.inference_mode(). Raises ModelError."""
