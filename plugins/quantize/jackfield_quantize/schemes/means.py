"""Finds tables of a few values by weighted k-means in one dimension. O outputs, I inputs, K entries of a table."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 60


def weighted_means(value_OI: Tensor, importance_OI: Tensor, num_means: int) -> Tensor:
    """Rising tables [O, K], by Lloyd's algorithm in one dimension on all outputs at once.

    Values are sorted once; then a cluster is a run, and its sums are differences of running sums.
    """
    sorted_OI, order_OI = value_OI.sort(1)
    weight_OI = importance_OI.gather(1, order_OI).double()
    weight_OI = weight_OI / weight_OI.sum(1, keepdim=True)
    mass_OJ = _running_sum(weight_OI)
    moment_OJ = _running_sum(weight_OI * sorted_OI)
    means_OK = _first_means(sorted_OI, weight_OI, num_means)
    for _ in range(_ROUNDS):
        middle = (means_OK[:, 1:] + means_OK[:, :-1]) / 2
        cuts = torch.searchsorted(sorted_OI, middle.float().contiguous())
        cuts = torch.nn.functional.pad(cuts, (1, 0))
        cuts = torch.nn.functional.pad(cuts, (0, 1), value=sorted_OI.shape[1])
        mass_OK = mass_OJ.gather(1, cuts).diff()
        moment_OK = moment_OJ.gather(1, cuts).diff()
        new_OK = torch.where(mass_OK > 1e-15, moment_OK / mass_OK.clamp(min=1e-15), means_OK)
        new_OK = new_OK.sort(1).values
        if torch.equal(new_OK, means_OK):
            break
        means_OK = new_OK
    return means_OK.float()


def nearest(value_OI: Tensor, table_OK: Tensor) -> Tensor:
    """int64 [O, I], the entry of the rising table that is nearest to each value."""
    middle = ((table_OK[:, 1:] + table_OK[:, :-1]) / 2).contiguous()
    return torch.searchsorted(middle, value_OI.contiguous())


def _first_means(sorted_OI: Tensor, weight_OI: Tensor, num_means: int) -> Tensor:
    """Points where the density to the power of one third has equal shares: near the best quantiser of many levels.

    Source: Panter and Dite 1951. Density is that of importance over values.
    """
    gaps_OI = sorted_OI.double().diff(dim=1).clamp(min=1e-12)
    density = (weight_OI[:, 1:] + weight_OI[:, :-1]) / 2 / gaps_OI
    share = torch.nn.functional.pad((density ** (1 / 3) * gaps_OI).cumsum(1), (1, 0))
    share = share / share[:, -1:]
    target = (torch.arange(num_means, dtype=torch.float64, device=share.device) + 0.5) / num_means
    place = torch.searchsorted(share, target.expand(len(share), -1).contiguous())
    return sorted_OI.double().gather(1, place.clamp(max=sorted_OI.shape[1] - 1))


def _running_sum(value_OI: Tensor) -> Tensor:
    """[O, I + 1], from 0 on."""
    return torch.nn.functional.pad(value_OI.cumsum(1), (1, 0))
