"""Blocks of the IQ and TQ types, whose codes choose several elements at once from long tables.

The `gguf` package holds the tables. It dequantises a copy of each block whose scales are one; what comes out has at most
sixteen values, which become codes of two to four bits. O outputs, B blocks of a row, G groups of a block.
Source: ggml, `ggml-quants.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jackfield_gguf_blocks.fields import Fields, float16_at, halves_in_turn, number_16

_ONE = (0x00, 0x3C)  # bytes of 1 in float16
_PARTS_OF_ONE = (0, 0, 0, 0, 0, 0xC0, 0, 0x30)  # the same in the upper halves of four words


@dataclass(frozen=True, slots=True)
class Lattice:
    """One type: how a block is neutralised, what its scales are, and the values of elements without scales."""

    name: str
    bytes: int  # of a block
    bits: int  # of a code
    values: tuple[float, ...]  # rising
    unit: float  # what the library makes of the value 1 in a neutral block
    neutral: Callable[[Tensor], None]  # sets all scales of uint8 [O, B, bytes] to one, in place
    scale: Callable[[Tensor], Tensor]  # float32 [O, B, G]

    def unpack(self, block: Tensor) -> Fields:
        """Codes count in `values`."""
        from gguf import GGMLQuantizationType, quants

        bare = block.clone(memory_format=torch.contiguous_format)
        self.neutral(bare)
        found = quants.dequantize(bare.flatten(1).numpy(), GGMLQuantizationType[self.name])
        values = torch.tensor(self.values)
        borders = (values[1:] + values[:-1]) / 2
        codes = torch.bucketize(torch.from_numpy(found) / self.unit, borders).to(torch.uint8)
        return Fields(codes.view(*block.shape[:2], -1), self.scale(block))


def _write(block: Tensor, at: int, octets: tuple[int, ...]) -> None:
    block[..., at : at + len(octets)] = torch.tensor(octets, dtype=torch.uint8)


def _clears(start: int, stop: int) -> Callable[[Tensor], None]:
    """For types with `d` first, and four bits a group in their own bytes."""

    def neutral(block: Tensor) -> None:
        _write(block, 0, _ONE)
        block[..., start:stop] = 0

    return neutral


def _clears_upper(start: int, step: int, mask: int) -> Callable[[Tensor], None]:
    """For types with `d` first, and the bits of a group in every `step`-th byte from `start`; `mask` is kept."""

    def neutral(block: Tensor) -> None:
        _write(block, 0, _ONE)
        block[..., start::step] &= mask

    return neutral


def _only_d(at: int) -> Callable[[Tensor], None]:
    return lambda block: _write(block, at, _ONE)


def _neutral_iq1_m(block: Tensor) -> None:
    _write(block, 48, _PARTS_OF_ONE)


def _upper(start: int, step: int, factor: float) -> Callable[[Tensor], Tensor]:
    """d * (1/2 + s) * factor, with s in the upper half of every `step`-th byte."""
    return lambda block: float16_at(block, 0) * (0.5 + (block[..., start::step] >> 4)) * factor


def _in_halves(start: int, stop: int, first: float, step: float) -> Callable[[Tensor], Tensor]:
    """d * (first + step * s), with an s in each half of a byte."""
    return lambda block: (
        float16_at(block, 0) * (first + step * halves_in_turn(block[..., start:stop]))
    )


def _iq1_s(block: Tensor) -> Tensor:
    words = number_16(block[..., 34:50])
    return float16_at(block, 0) * (2 * (words >> 12 & 7) + 1)


def _iq1_m(block: Tensor) -> Tensor:
    words = number_16(block[..., 48:56])  # four; their upper halves are d
    shifts = torch.tensor([0, 4, 8, 12])
    bits = ((words >> 12 & 15) << shifts).sum(-1, keepdim=True)
    d = torch.where(bits >= 1 << 15, bits - (1 << 16), bits).to(torch.int16).view(torch.float16)
    scales = (words.unsqueeze(-1) >> torch.tensor([0, 3, 6, 9]) & 7).flatten(-2)
    return d.float() * (2 * scales + 1)


def _signed(*values: float) -> tuple[float, ...]:
    return (*(-value for value in reversed(values)), *values)


_IQ2 = _signed(8, 25, 43)
_IQ3_XXS = _signed(4, 12, 20, 28, 36, 44, 52, 62)
_IQ3_S = _signed(1, 3, 5, 7, 9, 11, 13, 15)
_IQ1 = (-1.125, -0.875, -0.125, 0.125, 0.875, 1.125)
_TQ = (-1.0, 0.0, 1.0, 2.0)

LATTICES = (
    Lattice("IQ2_XXS", 66, 3, _IQ2, 0.125, _clears_upper(9, 8, 0x0F), _upper(9, 8, 0.25)),
    Lattice("IQ2_XS", 74, 3, _IQ2, 0.125, _clears(66, 74), _in_halves(66, 74, 0.125, 0.25)),
    Lattice("IQ2_S", 82, 3, _IQ2, 0.125, _clears(74, 82), _in_halves(74, 82, 0.125, 0.25)),
    Lattice("IQ3_XXS", 98, 4, _IQ3_XXS, 0.25, _clears_upper(69, 4, 0x0F), _upper(69, 4, 0.5)),
    Lattice("IQ3_S", 110, 4, _IQ3_S, 1.0, _clears(106, 110), _in_halves(106, 110, 1, 2)),
    Lattice("IQ1_S", 50, 3, _IQ1, 1.0, _clears_upper(35, 2, 0x8F), _iq1_s),
    Lattice("IQ1_M", 56, 3, _IQ1, 1.0, _neutral_iq1_m, _iq1_m),
    Lattice("TQ1_0", 54, 2, _TQ, 1.0, _only_d(52), lambda block: float16_at(block, 52)),
    Lattice("TQ2_0", 66, 2, _TQ, 1.0, _only_d(64), lambda block: float16_at(block, 64)),
)
