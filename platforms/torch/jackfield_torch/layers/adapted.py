"""A linear to which the adapters of a step's rows add something."""

from __future__ import annotations

from torch import Tensor

from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.running_adapters import Addition, RunningAdapters


class AdaptedLinear(Linear):
    """The linear alone, while no row of the step has an adapter."""

    def __init__(self, base: Linear, adapters: RunningAdapters, addition: Addition) -> None:
        self.base, self.adapters = base, adapters
        self._addition = addition

    def __call__(self, x_TI: Tensor) -> Tensor:
        y_TO = self.base(x_TI)
        if self.adapters.is_active:
            self._addition(x_TI, y_TO)
        return y_TO
