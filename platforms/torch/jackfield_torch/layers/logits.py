"""From hidden states to scores of the whole vocabulary."""

from __future__ import annotations

from torch import Tensor

from jackfield_torch.interfaces.kernels import NarrowProduct
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.compose import TensorFunction, identity


class SoftCap:
    """c * tanh(x / c), in place."""

    def __init__(self, cap: float) -> None:
        self._cap = cap

    def __call__(self, x: Tensor) -> Tensor:
        return x.div_(self._cap).tanh_().mul_(self._cap)


class Logits:
    """Final norm, head, and operations on the scores. With such operations scores are float32, otherwise as hidden
    states.
    """

    def __init__(
        self,
        norm: TensorFunction,
        head: Linear,
        gather: TensorFunction,
        bound: TensorFunction,
        narrow: NarrowProduct | None = None,  # norm and head for few rows
    ) -> None:
        self._norm, self._head = norm, head
        self._gather, self._bound = gather, bound
        self._narrow = narrow

    def __call__(self, hidden_SE: Tensor) -> Tensor:
        if self._narrow is not None and hidden_SE.shape[0] <= self._narrow.most_tokens:
            scores_SV = self._narrow(hidden_SE)
        else:
            scores_SV = self._head(self._norm(hidden_SE))
        scores_SV = self._gather(scores_SV)
        return scores_SV if self._bound is identity else self._bound(scores_SV.float())
