"""The attention of one forward pass: over the paged cache, or of each token over itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from jackfield_torch.interfaces.foreign import ForeignStep


class StepPass:
    """Attends layer by layer over the cache."""

    def __init__(self, step: ForeignStep) -> None:
        self._step = step
        self._layer = 0

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, more: dict[str, Any]) -> Tensor:
        """See Pass."""
        layer = self._layer
        self._layer += 1
        return self._step.attend(layer, q_TNH, k_TKH, v_TKH)


class LonelyPass:
    """Every token sees only itself. Keeps the learned score of each head (a sink) in each layer."""

    def __init__(self) -> None:
        self.sinks: dict[int, Tensor] = {}
        self.num_calls = 0
        self.heads: list[tuple[int, int]] = []  # heads of queries and of keys, for each call

    def attend(self, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor, more: dict[str, Any]) -> Tensor:
        """See Pass."""
        if (sinks := more.get("s_aux")) is not None:
            self.sinks[self.num_calls] = sinks.detach().float().clone()
        self.num_calls += 1
        self.heads.append((q_TNH.shape[1], k_TKH.shape[1]))
        return v_TKH.repeat_interleave(q_TNH.shape[1] // v_TKH.shape[1], 1)
