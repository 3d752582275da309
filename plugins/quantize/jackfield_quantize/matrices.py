"""Quantised matrices before they are stored. O outputs, I inputs, G groups of inputs, K table entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from jackfield_compact.tables import e2m1


def in_groups(tensor: Tensor, size: int) -> Tensor:
    """The last axis as groups of `size`: [..., G, S]."""
    return tensor.reshape(*tensor.shape[:-1], -1, size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matrix:
    """A quantised matrix. The first axis of its tensors are outputs."""

    def dequantise(self) -> Tensor:
        """float32 [O, I]."""
        raise NotImplementedError

    def outputs(self, index: Tensor | slice) -> Self:
        """The outputs with these indices, in their order."""
        tensors = {
            field.name: value[index]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **tensors)


def join(matrices: Sequence[Matrix]) -> Matrix:
    """The outputs of all matrices, one after another. All must be of one kind."""
    first = matrices[0]
    tensors = {
        field.name: torch.cat([getattr(matrix, field.name) for matrix in matrices])
        for field in fields(first)
        if isinstance(getattr(first, field.name), Tensor)
    }
    return replace(first, **tensors)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouped(Matrix):
    """weight = (code - zero) * scale, with a scale and a zero for each output and `group_size` inputs in a row."""

    codes_OI: Tensor  # uint8, below 2 ** bits
    scale_OG: Tensor  # float32; each value is exact in float16
    zero_OG: Tensor  # uint8, below 2 ** bits
    bits: int
    symmetric: bool  # each zero is 2 ** (bits - 1)

    @property
    def group_size(self) -> int:
        """Inputs of a group."""
        return self.codes_OI.shape[1] // self.scale_OG.shape[1]

    def dequantise(self) -> Tensor:
        """float32 [O, I]."""
        scale_OI = self.scale_OG.repeat_interleave(self.group_size, 1)
        zero_OI = self.zero_OG.float().repeat_interleave(self.group_size, 1)
        return (self.codes_OI.float() - zero_OI) * scale_OI


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tabled(Matrix):
    """weight = table[output, code] + outlier."""

    codes_OI: Tensor  # uint8, below 2 ** bits
    table_OK: Tensor  # float32
    bits: int
    outliers_OI: Tensor | None = None  # float32, 0 nearly everywhere

    def dequantise(self) -> Tensor:
        """float32 [O, I]."""
        weight_OI = self.table_OK.gather(1, self.codes_OI.long())
        return weight_OI if self.outliers_OI is None else weight_OI + self.outliers_OI


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Float4(Matrix):
    """weight = number of E2M1 * scale of its group, divided by one number of the matrix."""

    codes_OI: Tensor  # uint8, four bits of E2M1
    scale_OG: Tensor  # float8_e4m3fn, or uint8: a power of two, from 2 ** -127 on
    whole: float | None = None

    def dequantise(self) -> Tensor:
        """float32 [O, I]."""
        scale_OG = self.scale_OG.float()
        scale_OG = (scale_OG - 127).exp2() if self.whole is None else scale_OG / self.whole
        size = self.codes_OI.shape[1] // scale_OG.shape[1]
        return e2m1()[self.codes_OI.long()] * scale_OG.repeat_interleave(size, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled(Matrix):
    """weight = number * scale of its output."""

    numbers_OI: Tensor  # int8 or float8_e4m3fn
    scale_O1: Tensor  # float32

    def dequantise(self) -> Tensor:
        """float32 [O, I]."""
        return self.numbers_OI.float() * self.scale_O1
