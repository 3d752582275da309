"""The running side of a quantization scheme."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jackfield.config import EngineConfig
from jackfield.model_spec import Transform
from jackfield_torch.interfaces.kernels import NarrowProduct
from jackfield_torch.interfaces.quantization import LinearPart


class LinearShard(Protocol):
    """Gives a scheme the parameters of a part: transforms of the spec are undone; `cut` takes the share of this rank."""

    rank: int  # index of this rank, from 0
    num_ranks: int  # ranks that share each linear
    device: torch.device  # device for parameters
    dtype: torch.dtype  # dtype of activations
    config: EngineConfig  # holds the scheme's own options

    def read(self, part: LinearPart, parameter: str) -> Tensor:
        """The parameter (`weight`, `bias`, `qweight`, ...) of a part, whole, as stored, on the host.

        Raises CheckpointError that names file, tensor, expected and found shape.
        """

    def read_stored(self, part: LinearPart, parameter: str) -> Tensor:
        """The parameter as it stands in the checkpoint, of any shape. No transform of the spec but Entry is undone.

        Use it for packed parameters, whose axes differ from those of the weight. The scheme undoes `transforms` after
        unpacking.
        """

    def transforms(self, part: LinearPart) -> tuple[Transform, ...]:
        """The transforms of this part's parameters that `read` undoes and `read_stored` does not, in order.

        Examples: a fused matrix is split, heads are permuted.
        """

    def has(self, part: LinearPart, parameter: str) -> bool:
        """True if the checkpoint has that parameter."""

    def cut(self, whole: Tensor, axis: int, copies: int = 1) -> Tensor:
        """This rank's equal share along `axis`, as a view; `copies` consecutive ranks get the same share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The operations around a linear in a layer."""

    norm_weight_I: Tensor | None = None  # float32, RMS norm of the input; None: no norm
    norm_epsilon: float = 0.0
    # The outputs are a gate and an equal number of up, joined by this activation; "": they stay as they are.
    activation: str = ""


class Linear(ABC):
    """A matrix multiplication with its bias."""

    @abstractmethod
    def __call__(self, x_TI: Tensor) -> Tensor:
        """y_TO in x's dtype: T tokens, I inputs of this rank, O outputs of this rank, one part after another.

        A row-parallel linear gives partial sums, which the runtime adds up over the ranks; only rank 0 adds its bias.
        The result belongs to the caller: a later call must not change it.
        """

    def narrow(self, around: Around) -> NarrowProduct | None:
        """The same for steps of few tokens on an accelerator, including the operations around it. Default: None,
        there is none.

        Layers use such products only if each of their linears has one.
        """
        return None


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """The expert of each row of a step. All tensors are on the device, so that a step can be captured."""

    # Int64, counted from this rank's first expert; other numbers belong to other ranks.
    expert_S: Tensor
    # int64: where the rows of each expert begin, and the end of the last. None: the rows are not sorted.
    ends_X1: Tensor | None


@dataclass(frozen=True, slots=True)
class PlainExperts:
    """Weights and biases of all experts at one place, in the dtype of activations."""

    weight_XOI: Tensor
    bias_XO: Tensor | None


class ExpertLinear(ABC):
    """The linears of all experts of a rank at one place. They differ only in their weights."""

    @abstractmethod
    def __call__(self, x_SI: Tensor, rows: ExpertRows) -> Tensor:
        """y_SO: each row through the linear of its expert, otherwise as `Linear`.

        Rows of other ranks are zero; if rows are sorted, they hold arbitrary values. Never waits for the device.
        """

    def plain(self) -> PlainExperts | None:
        """The weights, for kernels of a device that multiply with them themselves. Default: None, they are in another form."""
        return None
