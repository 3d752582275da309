"""SqueezeLLM (Kim et al. 2023): a table for each output, by k-means in which sensitive weights count more.

The sensitivity of a weight is the mean square of its gradient, the diagonal of the Fisher information (section 4.1).
Dense-and-sparse (section 4.2): a share of the weights, the largest and the most sensitive ones, stands beside the tables.
O outputs, I inputs, K entries of a table.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_quantize.matrices import Tabled
from jackfield_quantize.schemes.gptq import compensated

_ROUNDS = 60
_SENSITIVE = 0.1  # of the sparse weights: the most sensitive ones; the rest are the largest (section 4.2: 0.05 of 0.45 %)


def quantise_squeezellm(
    weight_OI: Tensor,
    sensitivity_OI: Tensor,
    *,
    bits: int,
    sparse: float = 0.0,
    hessian_II: Tensor | None = None,
) -> Tabled:
    """A table of 2 ** bits values for each output. `sparse`: the share of weights that keep their value.

    With the Hessian of GPTQ codes are chosen one input after another, each error made good by the inputs that follow.
    The paper takes the nearest entry for each weight; its tables and its format stay as they are.
    """
    weight_OI, sensitivity_OI = weight_OI.float(), sensitivity_OI.float()
    is_outlier_OI = _outliers(weight_OI, sensitivity_OI, sparse) if sparse else None
    # a weight without any gradient counts a little: its output may have no other
    floor_O1 = sensitivity_OI.mean(1, keepdim=True) * 1e-4 + 1e-30
    importance_OI = sensitivity_OI + floor_O1
    if is_outlier_OI is not None:
        importance_OI = importance_OI.masked_fill(is_outlier_OI, 0.0)
    table_OK = weighted_means(weight_OI, importance_OI, 2**bits)
    if hessian_II is None:
        codes_OI, kept_OI = nearest(weight_OI, table_OK), weight_OI
    else:
        table_OK = table_OK.half().float()  # as it is stored: errors are those of what is read back
        codes_OI, kept_OI = _compensated(weight_OI, hessian_II, table_OK, is_outlier_OI)
    if is_outlier_OI is None:
        return Tabled(codes_OI=codes_OI.to(torch.uint8), table_OK=table_OK, bits=bits)
    of_zero_O1 = table_OK.abs().argmin(1, keepdim=True)
    codes_OI = torch.where(is_outlier_OI, of_zero_O1, codes_OI)
    rest_OI = kept_OI - table_OK.gather(1, codes_OI)
    return Tabled(
        codes_OI=codes_OI.to(torch.uint8),
        table_OK=table_OK,
        bits=bits,
        outliers_OI=torch.where(is_outlier_OI, rest_OI, 0.0),
    )


def _compensated(
    weight_OI: Tensor, hessian_II: Tensor, table_OK: Tensor, is_outlier_OI: Tensor | None
) -> tuple[Tensor, Tensor]:
    """int64 codes, and the weights when it was their turn: what an outlier keeps, at no error."""
    kept_OI = torch.empty_like(weight_OI)

    def codes_of(column: int, w_O: Tensor) -> tuple[Tensor, Tensor]:
        kept_OI[:, column] = w_O
        codes_O1 = nearest(w_O.unsqueeze(1), table_OK)
        values_O = table_OK.gather(1, codes_O1).squeeze(1)
        if is_outlier_OI is not None:
            values_O = torch.where(is_outlier_OI[:, column], w_O, values_O)
        return codes_O1.squeeze(1).float(), values_O

    return compensated(weight_OI, hessian_II, codes_of).long(), kept_OI


def weighted_means(value_OI: Tensor, importance_OI: Tensor, num_means: int) -> Tensor:
    """[O, K], rising: Lloyd's algorithm in one dimension, on all outputs at once.

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


def _outliers(weight_OI: Tensor, sensitivity_OI: Tensor, share: float) -> Tensor:
    """bool [O, I]: the largest weights of the matrix, and the most sensitive ones of what is left."""
    number = max(1, round(weight_OI.numel() * share))
    num_sensitive = round(number * _SENSITIVE)
    found = torch.zeros(weight_OI.numel(), dtype=torch.bool, device=weight_OI.device)
    found[weight_OI.abs().flatten().topk(number - num_sensitive).indices] = True
    left = sensitivity_OI.flatten().masked_fill(found, -1.0)
    found[left.topk(num_sensitive).indices] = True
    return found.view_as(weight_OI)
