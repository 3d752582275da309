"""GPTQ (Frantar et al. 2022): columns are rounded one after another, and later columns compensate each error.

The order of columns is that of Hessian diagonals, largest first ("act-order" of the released code), over grids that were
fitted before any column moved ("static groups"). Columns are then stored where they were, so no engine needs an index.
O outputs, I inputs, G groups, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jackfield_quantize.matrices import Grouped, in_groups
from jackfield_quantize.schemes.grid import Grid, best_grid

_BLOCK = 128  # columns whose errors are carried on at once (section 3.3 of the paper)
_DAMPING = 0.01  # of the mean diagonal (section 3.3)
_MOST_DAMPING = 10.0
# From a column and its corrected weights [O] to codes in float32 and their values.
CodesOf = Callable[[int, Tensor], tuple[Tensor, Tensor]]


class Hessian:
    """The mean of 2 x x^T over all inputs that were seen (section 3.1), [I, I] in float32."""

    def __init__(self, num_inputs: int, device: torch.device) -> None:
        self._sum_II = torch.zeros(num_inputs, num_inputs, device=device)
        self._num_tokens = 0

    def add(self, x_TI: Tensor) -> None:
        """Add the inputs of some tokens."""
        x_TI = x_TI.float()
        self._sum_II.addmm_(x_TI.T, x_TI, alpha=2.0)
        self._num_tokens += len(x_TI)

    def mean(self) -> Tensor:
        """The mean over the tokens."""
        return self._sum_II / max(1, self._num_tokens)


def quantise_gptq(
    weight_OI: Tensor, hessian_II: Tensor, *, bits: int, group_size: int, symmetric: bool
) -> Grouped:
    """Rounds so that the error of the outputs, not that of the weights, is small.

    Inputs that were always zero keep what rounding makes of their weights.
    """
    weight_OI = weight_OI.float()
    diagonal_I = hessian_II.diagonal()
    groups_OGS = in_groups(weight_OI, group_size)
    importance_GS = in_groups(diagonal_I + _DAMPING * diagonal_I.mean(), group_size)
    grid = best_grid(groups_OGS, bits, symmetric=symmetric, importance_GS=importance_GS)
    scale_OG, zero_OG = grid.scale.squeeze(-1), grid.zero.squeeze(-1)
    grids = [Grid(scale_OG[:, g], zero_OG[:, g], bits) for g in range(scale_OG.shape[1])]

    def codes_of(column: int, w_O: Tensor) -> tuple[Tensor, Tensor]:
        grid = grids[column // group_size]
        codes_O = grid.codes(w_O)
        return codes_O, grid.values(codes_O)

    codes_OI = compensated(weight_OI, hessian_II, codes_of)
    return Grouped(
        codes_OI=codes_OI.to(torch.uint8),
        scale_OG=scale_OG,
        zero_OG=zero_OG.to(torch.uint8),
        bits=bits,
        symmetric=symmetric,
    )


def compensated(weight_OI: Tensor, hessian_II: Tensor, codes_of: CodesOf) -> Tensor:
    """Codes in float32, column by column; later columns compensate each error. Algorithm 1 of the paper.

    The columns of large inputs come first, while many are left (*static act-order*). `weight_OI` is float32, and is
    left as it is.
    """
    order_I = hessian_II.diagonal().argsort(descending=True, stable=True)
    w_OI = weight_OI[:, order_I]
    inverse_II = _inverse_factor(hessian_II[order_I][:, order_I])
    columns = order_I.tolist()
    codes_OI = torch.empty_like(w_OI)
    num_inputs = w_OI.shape[1]
    for start in range(0, num_inputs, _BLOCK):
        stop = min(start + _BLOCK, num_inputs)
        block_OB, errors_OB = w_OI[:, start:stop], torch.zeros_like(w_OI[:, start:stop])
        inverse_BB = inverse_II[start:stop, start:stop]
        for column in range(stop - start):
            w_O = block_OB[:, column]
            codes_O, values_O = codes_of(columns[start + column], w_O)
            error_O = (w_O - values_O) / inverse_BB[column, column]
            block_OB[:, column:].addr_(error_O, inverse_BB[column, column:], alpha=-1.0)
            codes_OI[:, start + column], errors_OB[:, column] = codes_O, error_O
        w_OI[:, stop:] -= errors_OB @ inverse_II[start:stop, stop:]
    found = torch.empty_like(codes_OI)
    found[:, order_I] = codes_OI
    return found


def _inverse_factor(hessian_II: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse; damped more and more until there is one."""
    diagonal_I = hessian_II.diagonal()
    mean = diagonal_I.mean().clamp(min=1e-12)
    damping = _DAMPING
    while damping < _MOST_DAMPING:
        damped = hessian_II + torch.diag(torch.full_like(diagonal_I, float(mean) * damping))
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            inverse = torch.cholesky_inverse(lower)
            upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
            if not int(failed):
                found: Tensor = upper
                return found
        damping *= 2
    # The inputs say nothing: each column is rounded by itself.
    return torch.eye(len(hessian_II), device=hessian_II.device)
