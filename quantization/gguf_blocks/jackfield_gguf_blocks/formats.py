"""Blocks of GGUF as codes, scales and least values. O outputs, B blocks of a row, G groups of a block.

Fields follow one another: `d` is float16, K types have scales of scales.
Source: ggml, `ggml-quants.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_compact.reading import power_of_two
from jackfield_compact.tables import e2m1, float8
from jackfield_gguf_blocks.fields import (
    Fields,
    float16_at,
    half_at,
    halves,
    halves_in_turn,
    number_16,
    shaped,
    spread_bits,
)
from jackfield_gguf_blocks.lattices import LATTICES

_IQ4_NL = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """How a block is unpacked, and the values of its codes: code - middle, unless there is a table."""

    bytes: int
    bits: int
    middle: int
    unpack: Callable[[Tensor], Fields]
    table: tuple[float, ...] | None = None


def _fifth_bits(block_OBn: Tensor, at: int) -> Tensor:
    """Bit 4 of 32 codes, which are the 32 bits of a word."""
    shifts = torch.arange(8, dtype=torch.uint8)
    bits = (block_OBn[..., at : at + 4].unsqueeze(-1) >> shifts) & 1
    return bits.flatten(-2) << 4


def _q4_0(block: Tensor) -> Fields:
    return Fields(halves(block[..., 2:]), half_at(block, 0))


def _q4_1(block: Tensor) -> Fields:
    return Fields(halves(block[..., 4:]), half_at(block, 0), float16_at(block, 2))


def _q5_0(block: Tensor) -> Fields:
    return Fields(halves(block[..., 6:]) | _fifth_bits(block, 2), half_at(block, 0))


def _q5_1(block: Tensor) -> Fields:
    codes = halves(block[..., 8:]) | _fifth_bits(block, 4)
    return Fields(codes, half_at(block, 0), float16_at(block, 2))


def _q8_0(block: Tensor) -> Fields:
    return Fields(block[..., 2:] ^ 128, half_at(block, 0))  # int8, counted from -128


def _six_bits(block: Tensor, at: int) -> tuple[Tensor, Tensor]:
    """float32 scales and minima [O, B, 8] of six bits in twelve bytes: the first four are whole, the others in parts."""
    low, middle, high = (block[..., at + 4 * i : at + 4 * i + 4] for i in range(3))
    scales = torch.cat([low & 63, (high & 15) | (low >> 6) << 4], -1)
    minima = torch.cat([middle & 63, (high >> 4) | (middle >> 6) << 4], -1)
    return scales.float(), minima.float()


def _k(block: Tensor, codes: Tensor) -> Fields:
    """Q4_K and Q5_K: d, dmin, twelve bytes of scales and minima."""
    scales, minima = _six_bits(block, 4)
    return Fields(codes, float16_at(block, 0) * scales, -float16_at(block, 2) * minima)


def _q4_k(block: Tensor) -> Fields:
    runs = shaped(block[..., 16:144], 4, 32)  # 64 elements each
    return _k(block, halves(runs).flatten(-2))


def _q5_k(block: Tensor) -> Fields:
    runs = shaped(block[..., 48:176], 4, 32)
    fifth = spread_bits(block[..., 16:48], 1) << 4  # [.., 8 groups, 32]
    return _k(block, halves(runs).flatten(-2) | fifth.flatten(-2))


def _q6_k(block: Tensor) -> Fields:
    low = shaped(halves(shaped(block[..., :128], 2, 64)), 4, 32)  # [.., 2, 4, 32]
    high = spread_bits(shaped(block[..., 128:192], 2, 32), 2)
    scales = block[..., 192:208].contiguous().view(torch.int8).float()
    return Fields((low | high << 4).flatten(-3), float16_at(block, 208) * scales)


def _q2_k(block: Tensor) -> Fields:
    codes = spread_bits(shaped(block[..., 16:80], 2, 32), 2)
    scales, minima = (block[..., :16] & 15).float(), (block[..., :16] >> 4).float()
    return Fields(
        codes.flatten(-3), float16_at(block, 80) * scales, -float16_at(block, 82) * minima
    )


def _q3_k(block: Tensor) -> Fields:
    low = spread_bits(shaped(block[..., 32:96], 2, 32), 2).flatten(-3)
    third = spread_bits(block[..., :32], 1).flatten(-2)
    scales = halves(block[..., 96:104]) | spread_bits(block[..., 104:108], 2).flatten(-2) << 4
    return Fields(low | third << 2, float16_at(block, 108) * (scales.float() - 32))


def _iq4_xs(block: Tensor) -> Fields:
    upper = number_16(block[..., 2:4]) >> torch.arange(0, 16, 2) & 3
    scales = halves_in_turn(block[..., 4:8]) | upper << 4
    codes = halves(shaped(block[..., 8:136], 8, 16)).flatten(-2)
    return Fields(codes, float16_at(block, 0) * (scales.float() - 32))


def _nvfp4(block: Tensor) -> Fields:
    scales = float8(torch.float8_e4m3fn)[block[..., :4].int()]
    return Fields(halves(shaped(block[..., 4:36], 4, 8)).flatten(-2), scales)


def _mxfp4(block: Tensor) -> Fields:
    return Fields(halves(block[..., 1:]), power_of_two(block[..., :1]))


FORMATS: dict[str, BlockFormat] = {
    "Q4_0": BlockFormat(18, 4, 8, _q4_0),
    "Q4_1": BlockFormat(20, 4, 8, _q4_1),
    "Q5_0": BlockFormat(22, 5, 16, _q5_0),
    "Q5_1": BlockFormat(24, 5, 16, _q5_1),
    "Q8_0": BlockFormat(34, 8, 128, _q8_0),
    "Q2_K": BlockFormat(84, 2, 2, _q2_k),
    "Q3_K": BlockFormat(110, 3, 4, _q3_k),
    "Q4_K": BlockFormat(144, 4, 8, _q4_k),
    "Q5_K": BlockFormat(176, 5, 16, _q5_k),
    "Q6_K": BlockFormat(210, 6, 32, _q6_k),
    "IQ4_NL": BlockFormat(18, 4, 0, _q4_0, _IQ4_NL),
    "IQ4_XS": BlockFormat(136, 4, 0, _iq4_xs, _IQ4_NL),
    "MXFP4": BlockFormat(17, 4, 0, _mxfp4, tuple(e2m1().tolist())),
    "NVFP4": BlockFormat(36, 4, 0, _nvfp4, tuple(e2m1().tolist())),
    **{it.name: BlockFormat(it.bytes, it.bits, 0, it.unpack, it.values) for it in LATTICES},
}
