"""Softmax-weighted sums of scores that come in pieces, so that they are never all in memory."""

from __future__ import annotations

import torch
from torch import Tensor

# Finite, so that a piece in which a query sees nothing leaves no NaN behind.
_LOWEST = torch.finfo(torch.float32).min


class OnlineSoftmax:
    """Milakov and Gimelshein 2018: the sums so far are scaled down whenever a larger score comes.

    R rows, K kv heads, M queries of a kv head, W keys of a piece, H head size; all float32.
    """

    def __init__(self, sinks_RKM1: Tensor, head_size: int) -> None:
        """A sink is one more score of each query, that of a key without a value; -inf if there is none."""
        self._peak_RKM1 = sinks_RKM1.clamp_min(_LOWEST)
        self._total_RKM1 = (sinks_RKM1 - self._peak_RKM1).exp()
        self._sum_RKMH = sinks_RKM1.new_zeros(*sinks_RKM1.shape[:3], head_size)

    def add(self, scores_RKMW: Tensor, v_RKWH: Tensor) -> None:
        """Add more keys. A score of -inf hides a key."""
        peak_RKM1 = self._peak_RKM1.maximum(scores_RKMW.amax(-1, keepdim=True))
        shrink_RKM1 = (self._peak_RKM1 - peak_RKM1).exp()
        weights_RKMW = (scores_RKMW - peak_RKM1).exp_()
        self._total_RKM1 = self._total_RKM1 * shrink_RKM1 + weights_RKMW.sum(-1, keepdim=True)
        self._sum_RKMH = self._sum_RKMH * shrink_RKM1 + weights_RKMW @ v_RKWH
        self._peak_RKM1 = peak_RKM1

    def result(self) -> Tensor:
        """The weighted sum of all values, [R, K, M, H]. Each query must have seen a key."""
        return self._sum_RKMH / self._total_RKM1
