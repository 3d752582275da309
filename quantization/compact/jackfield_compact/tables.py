"""The values of codes: whole numbers, and small floating-point formats. All are exact in bfloat16."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

# OCP Microscaling Formats 1.0, FP4 (E2M1). The upper half of the codes are the negatives.
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@cache
def integers(bits: int, zero: int = 0) -> Tensor:
    """Code q stands for q - zero."""
    return torch.arange(2**bits, dtype=torch.float32) - zero


@cache
def e2m1() -> Tensor:
    """The values of four bits with sign."""
    positive = torch.tensor(_E2M1)
    return torch.cat([positive, -positive])


@cache
def float8(dtype: torch.dtype) -> Tensor:
    """The 256 numbers of a float8 format, by their bits. NaN is zero here, since no checkpoint contains it."""
    values = torch.arange(256, dtype=torch.uint8).view(dtype).float()
    return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
