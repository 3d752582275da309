"""The gated feed-forward block: activation(gate) * up, then down."""

from __future__ import annotations

from torch import Tensor

from jackfield_torch.interfaces.kernels import Kernels
from jackfield_torch.interfaces.linear import Linear


class GatedFeedForward:
    """A block whose gate and up stand side by side in one linear."""

    def __init__(self, gate_up: Linear, activation: str, down: Linear, kernels: Kernels) -> None:
        self.gate_up, self.activation, self.down = gate_up, activation, down
        self._kernels = kernels

    def __call__(self, x_TE: Tensor) -> Tensor:
        return self.down(self._kernels.gate(self.activation, self.gate_up(x_TE)))
