"""From numbers to four bits. O outputs, I inputs, G groups of inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.tables import integers

_HALF, _LAST, _REACH = 8, 15, 7


def round_to_int4(
    weight_OI: Tensor, group_size: int = 32, *, symmetric: bool = False
) -> CompactMatrix:
    """Round to the nearest of 16 steps from the least to the largest weight of a group; zero is one of the steps.

    `symmetric`: steps are symmetric around zero, the largest weight of a group is 7 steps, and there is no offset.
    """
    num_inputs = weight_OI.shape[1]
    padded_OI = F.pad(weight_OI.float(), (0, -num_inputs % group_size))
    grouped_OGI = padded_OI.view(len(padded_OI), -1, group_size)
    low, high = grouped_OGI.amin(2).clamp_max(0), grouped_OGI.amax(2).clamp_min(0)
    if symmetric:
        reach = torch.maximum(-low, high)
        low, high = -reach * (_HALF / _REACH), reach
    scale_OG = ((high - low) / _LAST).to(torch.float16).clamp_max(65504)
    # float16 halves the size of scales. Scales that are too small for it stay float32, so that no weight becomes
    # infinite.
    scale_OG = scale_OG.float() if bool((scale_OG < 2**-13).any()) else scale_OG
    if scale_OG.dtype == torch.float32:
        scale_OG = torch.where(high > low, (high - low) / _LAST, 1.0)
    zero_OG = (-low / scale_OG.float()).round().clamp(0, _LAST)
    if symmetric:
        zero_OG = torch.full_like(zero_OG, _HALF)
    codes_OGI = (grouped_OGI / scale_OG.float().unsqueeze(2)).round() + zero_OG.unsqueeze(2)
    return CompactMatrix(
        codes_OI=codes_OGI.clamp(0, _LAST).to(torch.uint8).flatten(1)[:, :num_inputs].contiguous(),
        bits=4,
        table=integers(4, _HALF),
        scale_OG=scale_OG,
        offset_OG=None if symmetric else scale_OG.float() * (zero_OG - _HALF),
        group_I=torch.arange(num_inputs) // group_size,
    )
