"""From token ids to the first hidden states."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.layers.compose import TensorFunction


class Embedding:
    """A row of the table for each token, then whatever else the model does to it."""

    def __init__(self, table_VE: Tensor, then: TensorFunction) -> None:
        self._table_VE = table_VE
        self._then = then

    def __call__(self, token_ids_T: Tensor, positions_T: Tensor) -> Tensor:
        return self._then(F.embedding(token_ids_T, self._table_VE))


class PositionedEmbedding:
    """The same, plus a learned row for each position."""

    def __init__(
        self,
        table_VE: Tensor,
        scale: TensorFunction,
        positions_LE: Tensor,
        offset: int,
        norm: TensorFunction,
    ) -> None:
        self._table_VE = table_VE
        self._scale = scale
        self._positions_LE = positions_LE[offset:]
        self._norm = norm

    def __call__(self, token_ids_T: Tensor, positions_T: Tensor) -> Tensor:
        x_TE = self._scale(F.embedding(token_ids_T, self._table_VE))
        return self._norm(x_TE.add_(F.embedding(positions_T, self._positions_LE)))
