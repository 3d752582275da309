"""AWQ (Lin et al. 2023): weights of important inputs are scaled up before rounding; the origin of these inputs is scaled down.

W x = (W s) (x / s): the division goes into the norm, or into the linear, that the inputs come from. O outputs, I inputs,
C channels of whatever gives the inputs (C < I where key-value heads serve several query heads), G groups, S inputs of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_quantize.matrices import Grouped, in_groups
from jackfield_quantize.schemes.gptq import Hessian
from jackfield_quantize.schemes.grid import Grid, whole_grid

_GRID = 20  # exponents from 0 to 1 (section 3.2)
_CLIPS = 20
_MOST_CLIPPED = 0.5  # share of the range of a group, as in the released code


class InputSums(Hessian):
    """Statistics of the inputs: the means of |x| and of x x^T."""

    def __init__(self, num_inputs: int, device: torch.device) -> None:
        super().__init__(num_inputs, device)
        self._magnitude_I = torch.zeros(num_inputs, device=device)

    def add(self, x_TI: Tensor) -> None:
        """Add the inputs of some tokens."""
        super().add(x_TI)
        self._magnitude_I += x_TI.float().abs().sum(0)

    def magnitudes(self) -> Tensor:
        """The mean over the tokens."""
        return self._magnitude_I / max(1, self._num_tokens)


@dataclass(frozen=True, slots=True)
class Rounding:
    """Rounding to a grid of these bits and groups."""

    bits: int
    group_size: int
    symmetric: bool

    def grid(self, weight_OGS: Tensor, share: float = 1.0) -> Grid:
        """The grid over a share of the range of each group."""
        return whole_grid(weight_OGS, self.bits, symmetric=self.symmetric, share=share)

    def rounded(self, weight_OI: Tensor) -> Tensor:
        """Round each weight to the nearest step."""
        groups_OGS = in_groups(weight_OI, self.group_size)
        return self.grid(groups_OGS).round(groups_OGS).flatten(1)


def find_scale(weight_OI: Tensor, sums: InputSums, channel_I: Tensor, rounding: Rounding) -> Tensor:
    """The scales s_C, by which the inputs of each channel are divided; ones if no scale helps.

    A grid search over exponents of the mean magnitudes of inputs, alone or divided by those of weights, for the least
    squared error of the outputs, tr(D H D^T) with D the error of the weights (equation 4). `weight_OI` are all linears
    that read these inputs, one under another.
    """
    hessian_II = sums.mean()
    x_C = _by_channel(sums.magnitudes(), channel_I).clamp(min=1e-6)
    w_C = _by_channel(_weight_magnitude(weight_OI, rounding.group_size), channel_I).clamp(min=1e-6)
    best_C = torch.ones_like(x_C)
    least = _output_error(rounding.rounded(weight_OI) - weight_OI, hessian_II)
    for uses_weights in (False, True):
        for number in range(1, _GRID + 1):
            exponent = number / _GRID
            s_C = x_C**exponent
            if uses_weights:
                s_C = s_C / w_C ** (1 - exponent)
            s_C = s_C.clamp(min=1e-4)
            s_C = s_C / (s_C.max() * s_C.min()).sqrt()
            s_I = s_C[channel_I]
            error_OI = rounding.rounded(weight_OI * s_I) / s_I - weight_OI
            error = _output_error(error_OI, hessian_II)
            if error < least:
                least, best_C = error, s_C
    return best_C


def quantise_awq(weight_OI: Tensor, hessian_II: Tensor, rounding: Rounding) -> Grouped:
    """Rounds weights that are scaled already. The range of each group is clipped if that lowers the error of outputs.

    `hessian_II` is that of the scaled inputs; a group is judged by its own block of it.
    """
    groups_OGS = in_groups(weight_OI, rounding.group_size)
    num_groups, size = groups_OGS.shape[1:]
    blocks = hessian_II.reshape(num_groups, size, num_groups, size)
    blocks_GSS = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    grid = rounding.grid(groups_OGS)
    scale, zero = grid.scale, grid.zero
    least = _group_error(grid.round(groups_OGS) - groups_OGS, blocks_GSS)
    for number in range(1, _CLIPS):
        share = 1.0 - number * (1.0 - _MOST_CLIPPED) / _CLIPS
        clipped = rounding.grid(groups_OGS, share)
        error = _group_error(clipped.round(groups_OGS) - groups_OGS, blocks_GSS)
        is_better = error < least
        least = torch.where(is_better, error, least)
        scale = torch.where(is_better, clipped.scale, scale)
        zero = torch.where(is_better, clipped.zero, zero)
    best = Grid(scale, zero, rounding.bits)
    return Grouped(
        codes_OI=best.codes(groups_OGS).flatten(1).to(torch.uint8),
        scale_OG=scale.squeeze(-1),
        zero_OG=zero.squeeze(-1).to(torch.uint8),
        bits=rounding.bits,
        symmetric=rounding.symmetric,
    )


def _output_error(error_OI: Tensor, hessian_II: Tensor) -> float:
    return float(((error_OI @ hessian_II) * error_OI).sum(dtype=torch.float64))


def _group_error(error_OGS: Tensor, blocks_GSS: Tensor) -> Tensor:
    """[O, G, 1]"""
    weighed = torch.einsum("ogs,gst->ogt", error_OGS, blocks_GSS)
    return (weighed * error_OGS).sum(-1, keepdim=True)


def _weight_magnitude(weight_OI: Tensor, group_size: int) -> Tensor:
    """The size of the weights of each input relative to the largest of their group, the mean over outputs: [I]."""
    groups_OGS = in_groups(weight_OI.abs(), group_size)
    largest = groups_OGS.amax(-1, keepdim=True).clamp(min=1e-6)
    return (groups_OGS / largest).flatten(1).mean(0)


def _by_channel(value_I: Tensor, channel_I: Tensor) -> Tensor:
    """The mean over the inputs of each channel."""
    num_channels = int(channel_I.max()) + 1
    counts = torch.bincount(channel_I, minlength=num_channels)
    sums_C: Tensor = value_I.new_zeros(num_channels).index_add_(0, channel_I, value_I)
    return sums_C / counts
