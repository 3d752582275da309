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
    """Gives a scheme the parameters of a part, transforms of the spec undone, cut to this rank."""

    rank: int  # this one, from 0
    num_ranks: int  # that share each linear
    device: torch.device  # where parameters belong
    dtype: torch.dtype  # of activations
    config: EngineConfig  # in which a scheme finds its own options

    def read(self, part: LinearPart, parameter: str) -> Tensor:
        """The parameter (`weight`, `bias`, `qweight`, ...) of a part, whole, as stored, on the host.

        Raises CheckpointError naming file, tensor, expected and found shape.
        """

    def read_stored(self, part: LinearPart, parameter: str) -> Tensor:
        """The same as it stands in the checkpoint, of any shape: no transform of the spec but Entry is undone.

        For packed parameters, whose axes are none of the weight's. The scheme undoes `transforms` on what it unpacks.
        """

    def transforms(self, part: LinearPart) -> tuple[Transform, ...]:
        """What `read` undoes of this part's parameters and `read_stored` does not, in order.

        A fused matrix is split, heads are permuted.
        """

    def has(self, part: LinearPart, parameter: str) -> bool:
        """True if the checkpoint has that parameter."""

    def cut(self, whole: Tensor, axis: int, copies: int = 1) -> Tensor:
        """This rank's equal share along `axis`, as a view; `copies` ranks in a row get the same one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stands around a linear in a layer."""

    norm_weight_I: Tensor | None = None  # float32, RMS norm of the input; None: none
    norm_epsilon: float = 0.0
    activation: str = ""  # the outputs are a gate and as many of up, joined by that activation; "": they are taken as they are


class Linear(ABC):
    """A matrix multiplication with what belongs to it."""

    @abstractmethod
    def __call__(self, x_TI: Tensor) -> Tensor:
        """y_TO in x's dtype: T tokens, I inputs of this rank, O outputs of this rank, the parts one after another.

        A row-parallel linear yields partial sums, which the runtime adds up over the ranks; its bias is added by
        rank 0 alone. The result is the caller's: a later call must not change it.
        """

    def narrow(self, around: Around) -> NarrowProduct | None:
        """The same for steps of few tokens on an accelerator, with what stands around it; None, the default: there is none.

        Layers take such products where each of their linears has one.
        """
        return None


@dataclass(frozen=True, slots=True)
class ExpertRows:
    """Which expert each row of a step goes through; all on the device, so that a step can be captured."""

    expert_S: Tensor  # int64, counted from the first one of this rank; others are another rank's
    # int64, where the rows of each expert begin, and the end of the last; None: rows are in no order
    ends_X1: Tensor | None


class ExpertLinear(ABC):
    """The linears of all experts of a rank at one place, which are alike but for their weights."""

    @abstractmethod
    def __call__(self, x_SI: Tensor, rows: ExpertRows) -> Tensor:
        """y_SO: each row through the linear of its expert, else as `Linear`.

        Rows of other ranks are zero, or whatever stands in memory where rows are sorted. Never waits for the device.
        """
