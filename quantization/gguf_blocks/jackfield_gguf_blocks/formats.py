"""Blocks of GGUF as codes, scales and least values. O outputs, B blocks of a row, G groups of a block.

All numbers are little-endian. Fields follow one another: `d` is float16, K types have scales of scales.
Source: ggml, `ggml-quants.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_compact.reading import power_of_two
from jackfield_compact.tables import e2m1

_IQ4_NL = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


@dataclass(frozen=True, slots=True)
class Fields:
    """The content of a block: element = scale * value of the code + least."""

    codes: Tensor  # uint8 [O, B, elements of a block]
    scale: Tensor  # [O, B, G]
    least: Tensor | None = None  # float32 [O, B, G]; None: codes count from the middle


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """How a block is unpacked, and the values of its codes: code - middle, unless there is a table."""

    bytes: int
    bits: int
    middle: int
    unpack: Callable[[Tensor], Fields]
    table: tuple[float, ...] | None = None


def _half(block_OBn: Tensor, at: int) -> Tensor:
    """float16 [O, B, 1] at a byte position."""
    return block_OBn[..., at : at + 2].contiguous().view(torch.float16)


def _shaped(values: Tensor, *shape: int) -> Tensor:
    """The last axis split into several."""
    return values.reshape(*values.shape[:-1], *shape)


def _nibbles(octets: Tensor) -> Tensor:
    """Elements in the lower halves of all bytes, followed by those in the upper halves."""
    return torch.cat([octets & 15, octets >> 4], -1)


def _fifth_bits(block_OBn: Tensor, at: int) -> Tensor:
    """Bit 4 of 32 codes, which are the 32 bits of a word."""
    shifts = torch.arange(8, dtype=torch.uint8)
    bits = (block_OBn[..., at : at + 4].unsqueeze(-1) >> shifts) & 1
    return bits.flatten(-2) << 4


def _q4_0(block: Tensor) -> Fields:
    return Fields(_nibbles(block[..., 2:]), _half(block, 0))


def _q4_1(block: Tensor) -> Fields:
    return Fields(_nibbles(block[..., 4:]), _half(block, 0), _half(block, 2).float())


def _q5_0(block: Tensor) -> Fields:
    return Fields(_nibbles(block[..., 6:]) | _fifth_bits(block, 2), _half(block, 0))


def _q5_1(block: Tensor) -> Fields:
    codes = _nibbles(block[..., 8:]) | _fifth_bits(block, 4)
    return Fields(codes, _half(block, 0), _half(block, 2).float())


def _q8_0(block: Tensor) -> Fields:
    return Fields(block[..., 2:] ^ 128, _half(block, 0))  # int8, counted from -128


def _six_bits(block: Tensor, at: int) -> tuple[Tensor, Tensor]:
    """float32 scales and minima [O, B, 8] of six bits in twelve bytes: the first four are whole, the others in parts."""
    low, middle, high = (block[..., at + 4 * i : at + 4 * i + 4] for i in range(3))
    scales = torch.cat([low & 63, (high & 15) | (low >> 6) << 4], -1)
    minima = torch.cat([middle & 63, (high >> 4) | (middle >> 6) << 4], -1)
    return scales.float(), minima.float()


def _k(block: Tensor, codes: Tensor) -> Fields:
    """Q4_K and Q5_K: d, dmin, twelve bytes of scales and minima."""
    scales, minima = _six_bits(block, 4)
    return Fields(codes, _half(block, 0).float() * scales, -_half(block, 2).float() * minima)


def _q4_k(block: Tensor) -> Fields:
    runs = _shaped(block[..., 16:144], 4, 32)  # 64 elements each
    return _k(block, _nibbles(runs).flatten(-2))


def _q5_k(block: Tensor) -> Fields:
    runs = _shaped(block[..., 48:176], 4, 32)
    shifts = torch.arange(8, dtype=torch.uint8).view(8, 1)
    fifth = ((block[..., 16:48].unsqueeze(-2) >> shifts) & 1) << 4  # [.., 8 groups, 32]
    return _k(block, _nibbles(runs).flatten(-2) | fifth.flatten(-2))


def _q6_k(block: Tensor) -> Fields:
    low = _shaped(_nibbles(_shaped(block[..., :128], 2, 64)), 4, 32)  # [.., 2, 4, 32]
    shifts = torch.tensor([0, 2, 4, 6], dtype=torch.uint8).view(4, 1)
    high = (_shaped(block[..., 128:192], 2, 1, 32) >> shifts) & 3
    scales = block[..., 192:208].contiguous().view(torch.int8).float()
    return Fields((low | high << 4).flatten(-3), _half(block, 208).float() * scales)


def _q2_k(block: Tensor) -> Fields:
    shifts = torch.tensor([0, 2, 4, 6], dtype=torch.uint8).view(4, 1)
    codes = (_shaped(block[..., 16:80], 2, 1, 32) >> shifts) & 3
    scales, minima = (block[..., :16] & 15).float(), (block[..., :16] >> 4).float()
    return Fields(
        codes.flatten(-3), _half(block, 80).float() * scales, -_half(block, 82).float() * minima
    )


def _mxfp4(block: Tensor) -> Fields:
    return Fields(_nibbles(block[..., 1:]), power_of_two(block[..., :1]))


FORMATS: dict[str, BlockFormat] = {
    "Q4_0": BlockFormat(18, 4, 8, _q4_0),
    "Q4_1": BlockFormat(20, 4, 8, _q4_1),
    "Q5_0": BlockFormat(22, 5, 16, _q5_0),
    "Q5_1": BlockFormat(24, 5, 16, _q5_1),
    "Q8_0": BlockFormat(34, 8, 128, _q8_0),
    "Q2_K": BlockFormat(84, 2, 2, _q2_k),
    "Q4_K": BlockFormat(144, 4, 8, _q4_k),
    "Q5_K": BlockFormat(176, 5, 16, _q5_k),
    "Q6_K": BlockFormat(210, 6, 32, _q6_k),
    "IQ4_NL": BlockFormat(18, 4, 0, _q4_0, _IQ4_NL),
    "MXFP4": BlockFormat(17, 4, 0, _mxfp4, tuple(e2m1().tolist())),
}
