"""Uniform grids of groups: where the steps lie, and rounding to them. O outputs, G groups, S inputs of a group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST = 2.0**-14  # normal number of float16: smaller scales would lose bits
_CANDIDATES = 40
_MOST_SHRUNK = 0.5  # of the range of a group


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """weight = (code - zero) * scale; `codes` and `values` broadcast over the axes of scale and zero."""

    scale: Tensor  # float32; each value is exact in float16
    zero: Tensor  # float32, whole numbers from 0 to 2 ** bits - 1
    bits: int

    def codes(self, weight: Tensor) -> Tensor:
        """The nearest codes, whole numbers in float32."""
        return ((weight / self.scale).round_().add_(self.zero)).clamp_(0, 2**self.bits - 1)

    def values(self, codes: Tensor) -> Tensor:
        """The values of codes."""
        return (codes - self.zero) * self.scale

    def round(self, weight: Tensor) -> Tensor:
        """The nearest values."""
        return self.values(self.codes(weight))


def whole_grid(weight_OGS: Tensor, bits: int, *, symmetric: bool, share: float = 1.0) -> Grid:
    """A grid for each group that spans `share` of the range of its weights; scale and zero are [O, G, 1]."""
    last = 2**bits - 1
    low = weight_OGS.amin(-1, keepdim=True).clamp(max=0.0) * share
    high = weight_OGS.amax(-1, keepdim=True).clamp(min=0.0) * share
    if symmetric:
        high = torch.maximum(high, -low)
        scale = _stored(2 * high / last)
        return Grid(scale, torch.full_like(scale, 2 ** (bits - 1)), bits)
    scale = _stored((high - low) / last)
    return Grid(scale, (-low / scale).round_().clamp_(0, last), bits)


def best_grid(
    weight_OGS: Tensor, bits: int, *, symmetric: bool, importance_GS: Tensor | None = None
) -> Grid:
    """The grid of each group with the least squared error, each input weighed by its importance.

    The ends of the range are drawn in step by step, as in GPTQ's own search and in AWQ's (Lin et al. 2023, section 3.2
    of the released code): a few clipped weights may cost less than coarse steps for all.
    """
    best = whole_grid(weight_OGS, bits, symmetric=symmetric)
    least = _error(best, weight_OGS, importance_GS)
    scale, zero = best.scale, best.zero
    for number in range(1, _CANDIDATES):
        share = 1.0 - number * (1.0 - _MOST_SHRUNK) / (_CANDIDATES - 1)
        grid = whole_grid(weight_OGS, bits, symmetric=symmetric, share=share)
        error = _error(grid, weight_OGS, importance_GS)
        is_better = error < least
        least = torch.where(is_better, error, least)
        scale = torch.where(is_better, grid.scale, scale)
        zero = torch.where(is_better, grid.zero, zero)
    return Grid(scale, zero, bits)


def _error(grid: Grid, weight_OGS: Tensor, importance_GS: Tensor | None) -> Tensor:
    """[O, G, 1]"""
    error = (grid.round(weight_OGS) - weight_OGS).square_()
    if importance_GS is not None:
        error *= importance_GS
    return error.sum(-1, keepdim=True)


def _stored(scale: Tensor) -> Tensor:
    """The scale rounded to float16, in float32. Groups of zeros get an arbitrary one."""
    return torch.where(scale > 0, scale, 1.0).clamp(_SMALLEST, 65504.0).half().float()
