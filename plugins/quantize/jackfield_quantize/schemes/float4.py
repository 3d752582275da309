"""Rounds to the nearest of sixteen numbers with uneven steps: NF4, MXFP4, NVFP4. O outputs, I inputs, G groups."""

from __future__ import annotations

import torch
from torch import Tensor

from jackfield_compact.tables import e2m1
from jackfield_quantize.matrices import Float4, in_groups
from jackfield_quantize.schemes.means import nearest

# Dettmers et al. 2023, *QLoRA*, appendix E: quantiles of the normal distribution, with an exact zero
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
MXFP4_GROUP, NVFP4_GROUP = 32, 16  # inputs
_LARGEST = 6.0  # of E2M1
_LARGEST_E4M3 = 448.0
_BIAS = 127  # of E8M0


def quantise_nf4(weight_OI: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """uint8 codes [O * I] and float32 scales of blocks, which run on from one output to the next.

    The last block may be smaller.
    """
    flat = weight_OI.float().flatten()
    blocks = in_groups(torch.nn.functional.pad(flat, (0, -len(flat) % block)), block)
    largest = blocks.abs().amax(1)
    scaled = blocks / largest.clamp(min=1e-30).unsqueeze(1)
    table = torch.tensor(NF4, device=flat.device).expand(len(blocks), -1)
    return nearest(scaled, table).to(torch.uint8).flatten()[: len(flat)], largest


def quantise_mxfp4(weight_OI: Tensor) -> Float4:
    """E2M1 with a power of two for each 32 inputs: that under which the largest weight is from 4 to 8, or the next one.

    Weights above 6 become 6. Of both powers the one with the smaller squared error is taken. Source: OCP Microscaling
    Formats 1.0, section 6.3.
    """
    groups_OGS = in_groups(weight_OI.float(), MXFP4_GROUP)
    power_OG = groups_OGS.abs().amax(-1).clamp(min=2.0**-100).log2().floor() - 2
    (near, near_error), (far, far_error) = (
        _rounded(groups_OGS, p.exp2()) for p in (power_OG, power_OG + 1)
    )
    is_far = far_error < near_error
    codes_OGS = torch.where(is_far.unsqueeze(-1), far, near)
    return Float4(
        codes_OI=codes_OGS.flatten(1),
        scale_OG=(power_OG + is_far + _BIAS).clamp(0, 254).to(torch.uint8),
    )


def quantise_nvfp4(weight_OI: Tensor) -> Float4:
    """E2M1 with a scale in E4M3 for each 16 inputs, which are themselves scaled to fill the range of E4M3."""
    groups_OGS = in_groups(weight_OI.float(), NVFP4_GROUP)
    largest_OG = groups_OGS.abs().amax(-1)
    whole = _LARGEST * _LARGEST_E4M3 / float(largest_OG.max().clamp(min=1e-30))
    scale_OG = (largest_OG / _LARGEST * whole).to(torch.float8_e4m3fn)
    codes_OGS, _ = _rounded(groups_OGS, (scale_OG.float() / whole).clamp(min=1e-30))
    return Float4(codes_OI=codes_OGS.flatten(1), scale_OG=scale_OG, whole=whole)


def _rounded(groups_OGS: Tensor, scale_OG: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 codes of E2M1, and the squared error of each group."""
    scaled = groups_OGS / scale_OG.unsqueeze(-1)
    positive = e2m1()[:8].to(scaled.device)
    middle = (positive[1:] + positive[:-1]) / 2
    codes = torch.bucketize(scaled.abs(), middle)
    error_OG = (positive[codes] - scaled.abs()).square().sum(-1) * scale_OG.square()
    return (codes + 8 * (scaled < 0)).to(torch.uint8), error_OG
