"""From hidden states to scores of the whole vocabulary."""

from __future__ import annotations

from torch import Tensor

from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.layers.compose import TensorFunction


class SoftCap:
    """c * tanh(x / c), in place."""

    def __init__(self, cap: float) -> None:
        self._cap = cap

    def __call__(self, x: Tensor) -> Tensor:
        return x.div_(self._cap).tanh_().mul_(self._cap)


class Logits:
    """Final norm, head, and what bounds the scores, which are float32."""

    def __init__(
        self, norm: TensorFunction, head: Linear, gather: TensorFunction, bound: TensorFunction
    ) -> None:
        self._norm, self._head = norm, head
        self._gather, self._bound = gather, bound

    def __call__(self, hidden_SE: Tensor) -> Tensor:
        return self._bound(self._gather(self._head(self._norm(hidden_SE))).float())
