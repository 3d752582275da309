"""Top-k, top-p and min-p as one threshold for each row: tokens with a smaller weight are not drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of S rows that are drawn together. Neutral values: vocab_size, 1 and 0."""

    top_k_S: Tensor  # int64, in [1, vocab_size]
    top_p_S: Tensor  # float64
    min_p_S: Tensor  # float32
    is_active: bool  # some row uses any of them
    needs_order: bool  # some row uses top_k or top_p
    # The largest top_k of the rows that need an order, if all of them have one.
    most_k: int | None

    def apply(self, weights_SV: Tensor) -> Tensor:
        """The weights, with filtered ones set to zero in place. The largest weight of each row must be 1."""
        if not self.is_active:
            return weights_SV
        threshold_S = self.min_p_S
        if self.needs_order:
            threshold_S = torch.maximum(threshold_S, self._ordered_threshold(weights_SV))
        return weights_SV.masked_fill_(weights_SV < threshold_S.unsqueeze(-1), 0.0)

    def _ordered_threshold(self, weights_SV: Tensor) -> Tensor:
        """The smallest weight that top_k keeps, and that top_p keeps of the remaining mass.

        Equal weights stay together, so more than k tokens remain if several are equal to the threshold.
        """
        falling_SW = _falling(weights_SV, self.most_k)
        width = falling_SW.shape[1]
        last_S1 = self.top_k_S.clamp(max=width).unsqueeze(-1) - 1
        place_W = torch.arange(width, device=falling_SW.device)
        ends_SW = falling_SW.masked_fill(place_W > last_S1, 0.0).cumsum(-1, dtype=torch.float64)
        # The first index at which the sum reaches the wanted mass is the last one to keep.
        reached_S1 = torch.searchsorted(ends_SW, self.top_p_S.unsqueeze(-1) * ends_SW[:, -1:])
        # top_p = 1 keeps everything that top_k left, however the smallest weights are rounded.
        place_S1 = torch.minimum(reached_S1, last_S1).where(self.top_p_S.unsqueeze(-1) < 1, last_S1)
        threshold_S = falling_SW.gather(-1, place_S1).squeeze(-1)
        unused_S = (self.top_k_S >= weights_SV.shape[1]) & (self.top_p_S >= 1)
        return threshold_S.masked_fill(unused_S, 0.0)


def _falling(weights_SV: Tensor, most_k: int | None) -> Tensor:
    """The weights of each row in falling order: all of them, or the first `most_k`."""
    if most_k is not None:
        return weights_SV.topk(most_k, dim=-1).values
    # The vectorised sort of numpy is two to three times as fast as torch's.
    if weights_SV.device.type == "cpu":
        return torch.from_numpy(np.sort(weights_SV.numpy(), axis=-1)).flip(-1)
    return weights_SV.sort(dim=-1, descending=True).values
