"""The content of a block, and how its bytes become numbers. O outputs, B blocks of a row, G groups of a block.

All numbers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Fields:
    """The content of a block: element = scale * value of the code + least."""

    codes: Tensor  # uint8 [O, B, elements of a block]
    scale: Tensor  # [O, B, G]
    least: Tensor | None = None  # float32 [O, B, G]; None: codes count from the middle


def half_at(block: Tensor, at: int) -> Tensor:
    """float16 [O, B, 1] at a byte position."""
    return block[..., at : at + 2].contiguous().view(torch.float16)


def float16_at(block: Tensor, at: int) -> Tensor:
    """The same in float32."""
    return half_at(block, at).float()


def number_16(octets: Tensor) -> Tensor:
    """int32 from each two bytes."""
    pairs = octets.reshape(*octets.shape[:-1], -1, 2).int()
    words: Tensor = pairs[..., 0] | pairs[..., 1] << 8
    return words


def shaped(values: Tensor, *shape: int) -> Tensor:
    """The last axis split into several."""
    return values.reshape(*values.shape[:-1], *shape)


def halves(octets: Tensor) -> Tensor:
    """The lower halves of all bytes, followed by the upper halves."""
    return torch.cat([octets & 15, octets >> 4], -1)


def halves_in_turn(octets: Tensor) -> Tensor:
    """Lower and upper half of each byte."""
    return torch.stack([octets & 15, octets >> 4], -1).flatten(-2)


def spread_bits(octets: Tensor, width: int) -> Tensor:
    """Fields of `width` bits: [..., 8 / width, bytes], the lowest bits of all bytes first."""
    shifts = torch.arange(0, 8, width, dtype=torch.uint8).unsqueeze(1)
    fields: Tensor = (octets.unsqueeze(-2) >> shifts) & (2**width - 1)
    return fields
