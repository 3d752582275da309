"""Multiplies queries by a factor of their position, so that attention stays sharp over long contexts."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield.model_spec import Temperature
from jackfield_torch.layers.attention import RotateHeads, StepInputs


class Tempered:
    """Norms and rotation of heads, then the temperature of the queries, which are the first heads."""

    def __init__(self, turn: RotateHeads, temperature: Temperature, num_heads: int) -> None:
        self._turn, self._temperature, self._num_heads = turn, temperature, num_heads

    def __call__(self, x_TMH: Tensor, step: StepInputs) -> Tensor:
        x_TMH = self._turn(x_TMH, step)
        whole_T = torch.floor((step.positions_T + 1) / self._temperature.step)
        factor_T = torch.log1p(whole_T) * self._temperature.factor + 1.0
        queries_TNH = x_TMH[:, : self._num_heads] * factor_T[:, None, None]
        return torch.cat((queries_TNH.to(x_TMH.dtype), x_TMH[:, self._num_heads :]), 1)
