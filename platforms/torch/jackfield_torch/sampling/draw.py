"""Draws one token for each row by inverting the cumulative distribution, without sorting and without a long sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_CHUNK = 256  # tokens; a whole row is summed chunk by chunk, then one chunk is searched


def draw(weights_SV: Tensor, uniform_S: Tensor) -> Tensor:
    """The first token whose cumulative weight exceeds uniform * total; int64, one for each row.

    `weights_SV`: float32, not negative, at least one positive in each row; need not sum to one. `uniform_S`: float64 in
    [0, 1). Sums run in two levels, and long ones in float64, so that no order of summation is favoured.
    """
    num_rows, vocab_size = weights_SV.shape
    if vocab_size % _CHUNK:
        weights_SV = functional.pad(weights_SV, (0, -vocab_size % _CHUNK))
    chunks_SCW = weights_SV.view(num_rows, -1, _CHUNK)
    chunk_S, rest_S = _search(chunks_SCW.sum(-1), uniform_S)
    chunk_SW = chunks_SCW[torch.arange(num_rows, device=chunk_S.device), chunk_S]
    inner_S, _ = _search(chunk_SW, rest_S)
    return chunk_S * _CHUNK + inner_S


def _search(weights_SW: Tensor, uniform_S: Tensor) -> tuple[Tensor, Tensor]:
    """The index of the weight in which `uniform` falls, and how far into that weight it falls, in [0, 1).

    The second number is uniform again and searches the next level. An index with zero weight is never found.
    """
    ends_SW = weights_SW.cumsum(-1, dtype=torch.float64)
    target_S1 = (uniform_S * ends_SW[:, -1]).unsqueeze(-1)
    # Rounding can lift the target to the total, which is after the last index, so it is kept below.
    below = torch.nextafter(ends_SW[:, -1:], torch.zeros_like(target_S1))
    target_S1 = torch.minimum(target_S1, below)
    index_S1 = torch.searchsorted(ends_SW, target_S1, right=True)
    index_S1.clamp_(max=ends_SW.shape[1] - 1)  # in a row with a NaN no index is found
    width_S1 = weights_SW.gather(-1, index_S1).double()
    start_S1 = ends_SW.gather(-1, index_S1) - width_S1
    inside_S1 = ((target_S1 - start_S1) / width_S1).clamp_(0.0, 1.0 - 2.0**-53)
    return index_S1.squeeze(-1), inside_S1.squeeze(-1)
