"""Fits codes and tables to the error of outputs: each in turn is set to its best value for the others.

The error is (w' - w) H (w' - w)^T of each output. For fixed tables, inputs are visited one after another, and each takes
the entry that is best beside all others (coordinate descent); for fixed codes the best table is a least-squares problem
of K unknowns. Source: Kim et al. 2025, *GuidedQuant*, section 4 (layer-wise non-uniform quantization).
O outputs, I inputs, K entries of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_quantize.products import narrow_products
from jackfield_quantize.schemes.gptq import compensated
from jackfield_quantize.schemes.means import nearest

_ROUNDS = 4  # of tables and codes
_PASSES = 2  # over all inputs, between two tables
_BLOCK = 128  # inputs whose effect on others is carried on at once
_DAMPING = 0.01  # of the mean diagonal, as in GPTQ
_RIDGE = 1e-5  # of the mean diagonal: entries that nothing uses stay where they are
_CHUNK_NUMBERS = 1 << 25  # of outputs that are fitted at once


@dataclass(slots=True)
class Fit:
    """A matrix that is being fitted; inputs are consecutive in memory. `value_IO` is table[code], except for outliers."""

    weight_IO: Tensor
    hessian_II: Tensor
    is_outlier_IO: Tensor | None  # outliers take any value
    table_OK: Tensor  # rising; each value is exact in float16
    codes_IO: Tensor  # int64
    value_IO: Tensor


def fit(
    weight_OI: Tensor, hessian_II: Tensor, table_OK: Tensor, is_outlier_OI: Tensor | None
) -> Fit:
    """Improves the tables of k-means. All tensors are float32."""
    diagonal_I = hessian_II.diagonal()
    damping = _DAMPING * float(diagonal_I.mean()) + 1e-12
    damped_II = hessian_II + torch.diag(torch.full_like(diagonal_I, damping))
    is_outlier_IO = None if is_outlier_OI is None else is_outlier_OI.T.contiguous()
    found = _start(weight_OI, damped_II, table_OK.half().float(), is_outlier_IO)
    for _ in range(_ROUNDS):
        _refit(found)
        for _ in range(_PASSES):
            _descend(found)
    return found


def _start(
    weight_OI: Tensor, hessian_II: Tensor, table_OK: Tensor, is_outlier_IO: Tensor | None
) -> Fit:
    """Choose codes as GPTQ does: inputs that follow compensate each error."""
    weight_IO = weight_OI.T.contiguous()
    value_IO = torch.empty_like(weight_IO)

    def codes_of(column: int, w_O: Tensor) -> tuple[Tensor, Tensor]:
        codes_O1 = nearest(w_O.unsqueeze(1), table_OK)
        value_O = table_OK.gather(1, codes_O1).squeeze(1)
        if is_outlier_IO is not None:
            value_O = torch.where(is_outlier_IO[column], w_O, value_O)
        value_IO[column] = value_O
        return codes_O1.squeeze(1).float(), value_O

    codes_IO = compensated(weight_OI, hessian_II, codes_of).long().T.contiguous()
    return Fit(weight_IO, hessian_II, is_outlier_IO, table_OK, codes_IO, value_IO)


def _descend(fit: Fit) -> None:
    """Improve codes and values in one pass over all inputs."""
    hessian_II, value_IO, table_OK = fit.hessian_II, fit.value_IO, fit.table_OK
    error_IO = value_IO - fit.weight_IO
    middle = ((table_OK[:, 1:] + table_OK[:, :-1]) / 2).contiguous()
    step = hessian_II.diagonal().reciprocal().tolist()
    num_inputs = len(value_IO)
    for start in range(0, num_inputs, _BLOCK):
        stop = min(start + _BLOCK, num_inputs)
        slope_BO = hessian_II[start:stop] @ error_IO
        within_BB = hessian_II[start:stop, start:stop]
        for number, index in enumerate(range(start, stop)):
            old_O = value_IO[index]
            best_O = torch.sub(old_O, slope_BO[number], alpha=step[index])
            codes_O1 = torch.searchsorted(middle, best_O.unsqueeze(1))
            new_O = table_OK.gather(1, codes_O1).squeeze(1)
            if fit.is_outlier_IO is not None:
                new_O = torch.where(fit.is_outlier_IO[index], best_O, new_O)
            moved_O = new_O - old_O
            slope_BO[number:].addr_(within_BB[number, number:], moved_O)
            error_IO[index] += moved_O
            value_IO[index] = new_O
            fit.codes_IO[index] = codes_O1.squeeze(1)


def _refit(fit: Fit) -> None:
    """The best tables for the codes: (P^T H P) table = P^T H w, where P [I, K] is one where an input has that code."""
    num_inputs, num_outputs = fit.codes_IO.shape
    size = fit.table_OK.shape[1]
    wanted_IO = fit.weight_IO
    if fit.is_outlier_IO is not None:
        wanted_IO = wanted_IO - fit.value_IO * fit.is_outlier_IO
    felt_IO = fit.hessian_II @ wanted_IO
    upper_II = fit.hessian_II.bfloat16().float()
    halves = (
        upper_II,
        fit.hessian_II - upper_II,
    )  # so that products with ones lose nothing to bfloat16
    tables = []
    step = max(1, _CHUNK_NUMBERS // (num_inputs * size))
    for first in range(0, num_outputs, step):
        rows = slice(first, min(first + step, num_outputs))
        place_IOK = torch.zeros(num_inputs, rows.stop - first, size, device=wanted_IO.device)
        place_IOK.scatter_(2, fit.codes_IO[:, rows].unsqueeze(2), 1.0)
        if fit.is_outlier_IO is not None:
            place_IOK.masked_fill_(fit.is_outlier_IO[:, rows].unsqueeze(2), 0.0)
        flat = place_IOK.view(num_inputs, -1)
        with narrow_products():
            felt_IOK = (halves[0] @ flat).add_(halves[1] @ flat).view_as(place_IOK)
        place_OKI = place_IOK.permute(1, 2, 0).contiguous()
        square_OKK = (place_OKI @ felt_IOK.transpose(0, 1)).double()
        side_OK = (place_OKI @ felt_IO[:, rows].T.unsqueeze(2)).squeeze(2).double()
        ridge_O1 = _RIDGE * square_OKK.diagonal(dim1=1, dim2=2).mean(1, keepdim=True) + 1e-30
        square_OKK.diagonal(dim1=1, dim2=2).add_(ridge_O1)
        side_OK += ridge_O1 * fit.table_OK[rows]
        tables.append(torch.linalg.solve(square_OKK, side_OK).half().float())
    table_OK, order_OK = torch.cat(tables).sort(1)
    place_OK = order_OK.argsort(1)
    fit.codes_IO = place_OK.gather(1, fit.codes_IO.T).T.contiguous()
    fit.table_OK = table_OK
    value_IO = table_OK.gather(1, fit.codes_IO.T).T.contiguous()
    if fit.is_outlier_IO is not None:
        value_IO = torch.where(fit.is_outlier_IO, fit.value_IO, value_IO)
    fit.value_IO = value_IO
