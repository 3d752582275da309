"""From token ids to the first hidden states."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jackfield_torch.layers.compose import TensorFunction


class Embedding:
    """A row of the table for each token, followed by the other operations of the model."""

    def __init__(self, table_VE: Tensor, then: TensorFunction) -> None:
        self._table_VE = table_VE
        self._then = then

    def __call__(
        self, token_ids_T: Tensor, positions_T: Tensor, second_T: Tensor | None = None
    ) -> Tensor:
        return self._then(F.embedding(token_ids_T, self._table_VE))


class PositionedEmbedding:
    """The same, plus a learned row for each position, and for each token the row of its text."""

    def __init__(
        self,
        table_VE: Tensor,
        scale: TensorFunction,
        positions_LE: Tensor,
        offset: int,
        norm: TensorFunction,
        segments_SE: Tensor | None = None,  # a row for the first text, and one for the second
    ) -> None:
        self._table_VE = table_VE
        self._scale = scale
        self._positions_LE = positions_LE[offset:]
        self._norm = norm
        self._second_E: Tensor | None = None  # row of the second text minus row of the first
        if segments_SE is not None:
            self._positions_LE = self._positions_LE + segments_SE[0]
            self._second_E = segments_SE[-1] - segments_SE[0]

    def __call__(
        self, token_ids_T: Tensor, positions_T: Tensor, second_T: Tensor | None = None
    ) -> Tensor:
        """`second_T` is 1 for tokens of a second text, otherwise 0. None: there is no second text."""
        x_TE = self._scale(F.embedding(token_ids_T, self._table_VE))
        x_TE = x_TE.add_(F.embedding(positions_T, self._positions_LE))
        if second_T is not None and self._second_E is not None:
            x_TE.add_(second_T.unsqueeze(1).to(x_TE.dtype) * self._second_E)
        return self._norm(x_TE)
