"""What stands behind attention in one forward pass: the paged cache, or nothing but each token itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from jackfield_torch.interfaces.foreign import ForeignStep


class StepPass:
    """Layer after layer over the cache."""

    def __init__(self, step: ForeignStep) -> None:
        self._step = step
        self._layer = 0

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, more: dict[str, Any]) -> Tensor:
        """As Pass says."""
        layer = self._layer
        self._layer += 1
        return self._step.attend(layer, q_TNH, k_TKH, v_TKH)


class LonelyPass:
    """Every token sees itself alone. Keeps what a learned score of each head (a sink) was in each layer."""

    def __init__(self) -> None:
        self.sinks: dict[int, Tensor] = {}
        self.num_calls = 0
        self.heads: list[tuple[int, int]] = []  # of queries and of keys in each call

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, more: dict[str, Any]) -> Tensor:
        """As Pass says."""
        if (sinks := more.get("s_aux")) is not None:
            self.sinks[self.num_calls] = sinks.detach().float().clone()
        self.num_calls += 1
        self.heads.append((q_TNH.shape[1], k_TKH.shape[1]))
        return v_TKH.repeat_interleave(q_TNH.shape[1] // v_TKH.shape[1], 1)
