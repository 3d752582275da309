"""SqueezeLLM (Kim et al. 2023): k-means finds a table for each output; sensitive weights count more.

The sensitivity of a weight is the mean square of its gradient, the diagonal of the Fisher information (section 4.1).
Dense-and-sparse (section 4.2): a share of the weights, the largest and the most sensitive ones, stands beside the tables.
O outputs, I inputs, K entries of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_quantize.matrices import Tabled
from jackfield_quantize.schemes.fitting import fit
from jackfield_quantize.schemes.means import nearest, weighted_means

_SENSITIVE = 0.1  # of the sparse weights: the most sensitive ones; the rest are the largest (section 4.2: 0.05 of 0.45 %)


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables and outliers of a matrix before it is rounded."""

    table_OK: Tensor  # float32, rising
    is_outlier_OI: Tensor | None

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.table_OK.shape[1].bit_length() - 1

    def outputs(self, rows: slice) -> Tables:
        """The outputs with these indices."""
        outliers = self.is_outlier_OI
        return Tables(self.table_OK[rows], None if outliers is None else outliers[rows])


def find_tables(
    weight_OI: Tensor, sensitivity_OI: Tensor, *, bits: int, sparse: float = 0.0
) -> Tables:
    """Find 2 ** bits values for each output. `sparse`: the share of weights that are outliers."""
    weight_OI, sensitivity_OI = weight_OI.float(), sensitivity_OI.float()
    is_outlier_OI = _outliers(weight_OI, sensitivity_OI, sparse) if sparse else None
    # A weight without a gradient counts a little, since its output may have no other weight.
    floor_O1 = sensitivity_OI.mean(1, keepdim=True) * 1e-4 + 1e-30
    importance_OI = sensitivity_OI + floor_O1
    if is_outlier_OI is not None:
        importance_OI = importance_OI.masked_fill(is_outlier_OI, 0.0)
    return Tables(weighted_means(weight_OI, importance_OI, 2**bits), is_outlier_OI)


def nearest_codes(weight_OI: Tensor, tables: Tables) -> Tabled:
    """Round each weight to the nearest entry, as in the paper."""
    weight_OI = weight_OI.float()
    return _stored(tables.table_OK, nearest(weight_OI, tables.table_OK), weight_OI, tables)


def fitted_codes(weight_OI: Tensor, tables: Tables, hessian_II: Tensor) -> Tabled:
    """Fit tables and codes so that the error of the outputs, not that of the weights, is small."""
    found = fit(weight_OI.float(), hessian_II, tables.table_OK, tables.is_outlier_OI)
    return _stored(found.table_OK, found.codes_IO.T, found.value_IO.T, tables)


def _stored(table_OK: Tensor, codes_OI: Tensor, value_OI: Tensor, tables: Tables) -> Tabled:
    """`value_OI`: the values of outliers."""
    is_outlier_OI, rest_OI = tables.is_outlier_OI, None
    if is_outlier_OI is not None:
        codes_OI = torch.where(is_outlier_OI, table_OK.abs().argmin(1, keepdim=True), codes_OI)
        rest_OI = torch.where(is_outlier_OI, value_OI - table_OK.gather(1, codes_OI), 0.0)
    return Tabled(
        codes_OI=codes_OI.to(torch.uint8).contiguous(),
        table_OK=table_OK,
        bits=tables.bits,
        outliers_OI=rest_OI,
    )


def _outliers(weight_OI: Tensor, sensitivity_OI: Tensor, share: float) -> Tensor:
    """bool [O, I]: the largest weights of the matrix, and the most sensitive ones of what is left."""
    number = max(1, round(weight_OI.numel() * share))
    num_sensitive = round(number * _SENSITIVE)
    found = torch.zeros(weight_OI.numel(), dtype=torch.bool, device=weight_OI.device)
    found[weight_OI.abs().flatten().topk(number - num_sensitive).indices] = True
    left = sensitivity_OI.flatten().masked_fill(found, -1.0)
    found[left.topk(num_sensitive).indices] = True
    return found.view_as(weight_OI)
