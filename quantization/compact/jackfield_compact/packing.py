"""Codes in the order of the kernel. O outputs in blocks of 32, K inputs sorted by group and padded.

A block holds two halves of 16 outputs. Codes of 2, 4 and 8 bits are placed so that a decoded register is one pair of
inputs for 16 outputs; codes into tables of single outputs so that a quarter of a register belongs to one output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from jackfield_compact.matrix import CompactMatrix

WIDTH = 32  # outputs of a block
_OWN_STEP = 32  # inputs that are decoded together if outputs have tables of their own
_STEP = {2: 8, 4: 4, 8: 4}  # the same, by number of bits
_WHOLE_STEP = 64  # the same, for whole numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packed:
    """A matrix in the form that the kernel reads."""

    codes: Tensor  # uint8
    bits: int  # as packed: 2, 4 or 8
    has_own: bool  # True: each output has a table
    is_affine: bool  # True: code q stands for q + table[0]
    table: Tensor  # float32 [2**bits] or [O, 16]
    table16: Tensor  # uint8, bfloat16 in the order of the kernel
    scales: Tensor  # [blocks, G, 32], as stored
    offsets: Tensor | None  # float32 [blocks, G, 32]
    starts: Tensor  # int32 [G + 1], where each group begins in K
    order: Tensor | None  # int32 [K], -1 for padding; None: inputs are in order


def pack(matrix: CompactMatrix) -> Packed:
    """The matrix in the order of the kernel. Each tensor has memory of its own."""
    has_own = matrix.table.ndim == 2
    bits = 4 if has_own else next(n for n in _STEP if n >= matrix.bits)
    order_K, starts = order_by_group(matrix, _OWN_STEP if has_own else _STEP[bits])
    codes_OK = _padded_codes(matrix.codes_OI, order_K)
    is_in_order = torch.equal(order_K, torch.arange(matrix.shape[1]))
    pack_codes = _own if has_own else {2: _two_bits, 4: _four_bits, 8: _eight_bits}[bits]
    table, table16 = _own_tables(matrix.table) if has_own else _table(matrix.table, bits)
    return Packed(
        codes=pack_codes(codes_OK).contiguous().flatten(),
        bits=bits,
        has_own=has_own,
        is_affine=not has_own and torch.equal(table - table[0], torch.arange(len(table)).float()),
        table=table,
        table16=table16,
        scales=_in_blocks(matrix.scale_OG),
        offsets=None if matrix.offset_OG is None else _in_blocks(matrix.offset_OG.float()),
        starts=starts,
        order=None if is_in_order else order_K.int(),
    )


def pack_whole(codes_OI: Tensor) -> Tensor:
    """int8 [blocks, K/4, 32, 4] from codes of eight bits around 128. K is a multiple of 64, as tiles are."""
    num_outputs, num_inputs = codes_OI.shape
    signed_OI = (codes_OI.to(torch.int16) - 128).to(torch.int8)
    padded = F.pad(signed_OI, (0, -num_inputs % _WHOLE_STEP, 0, -num_outputs % WIDTH))
    return padded.view(-1, WIDTH, padded.shape[1] // 4, 4).permute(0, 2, 1, 3).contiguous()


def order_by_group(matrix: CompactMatrix, step: int) -> tuple[Tensor, Tensor]:
    """The input at each place of K, -1 for none, and where each group begins."""
    num_groups = matrix.scale_OG.shape[1]
    counts = torch.bincount(matrix.group_I, minlength=num_groups)
    lengths = (counts + step - 1) // step * step
    starts = F.pad(lengths.cumsum(0), (1, 0))
    by_group = matrix.group_I.argsort(stable=True)
    first = F.pad(counts.cumsum(0), (1, 0))[:-1]
    group = matrix.group_I[by_group]
    place = starts[group] + torch.arange(len(by_group)) - first[group]
    order_K = torch.full((int(starts[-1]),), -1)
    order_K[place] = by_group
    return order_K, starts.int()


def _padded_codes(codes_OI: Tensor, order_K: Tensor) -> Tensor:
    codes_OK = codes_OI[:, order_K.clamp_min(0)] if codes_OI.shape[1] else codes_OI
    return F.pad(codes_OK, (0, 0, 0, -len(codes_OK) % WIDTH))


def _four_bits(codes_OK: Tensor) -> Tensor:
    """Four inputs at a time: two codes a byte, the later pair in the upper bits."""
    # The axes are block, half, output, step, pair, one.
    x = codes_OK.view(-1, 2, 16, codes_OK.shape[1] // 4, 2, 2)
    low, high = x.permute(4, 0, 3, 1, 2, 5)
    packed: Tensor = low | high << 4
    return packed


def _two_bits(codes_OK: Tensor) -> Tensor:
    x = codes_OK.view(-1, 2, 16, codes_OK.shape[1] // 8, 4, 2)
    first, second, third, fourth = x.permute(4, 0, 3, 1, 2, 5)
    packed: Tensor = first | second << 2 | third << 4 | fourth << 6
    return packed


def _eight_bits(codes_OK: Tensor) -> Tensor:
    """Each 16 bytes hold two pairs of inputs for four outputs, since bytes of values are interleaved in such quarters."""
    x = codes_OK.view(-1, 2, 4, 4, codes_OK.shape[1] // 4, 2, 2)  # block, half, quarter, output, ..
    return x.permute(0, 4, 1, 2, 5, 3, 6)


def _own(codes_OK: Tensor) -> Tensor:
    """32 inputs at a time: registers for outputs a, a + 4, a + 8, a + 12, the later 16 inputs in the upper bits."""
    x = codes_OK.view(-1, 2, 4, 4, codes_OK.shape[1] // 32, 2, 16)  # block, half, quarter, a, ..
    low, high = x.permute(5, 0, 4, 1, 3, 2, 6)
    packed: Tensor = low | high << 4
    return packed


def _table(table: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    whole = F.pad(table, (0, 2**bits - len(table)))
    narrow = whole.to(torch.bfloat16)
    if bits < 8:  # the 32 words of a register
        return whole.clone(), narrow.repeat(32 // len(narrow)).view(torch.uint8)
    octets = narrow.view(torch.uint8).view(-1, 2)
    return whole.clone(), octets.T.contiguous().flatten()


def _own_tables(table: Tensor) -> tuple[Tensor, Tensor]:
    whole = F.pad(table, (0, 16 - table.shape[1], 0, -len(table) % WIDTH))
    octets = whole.to(torch.bfloat16).view(torch.uint8).view(-1, 2, 4, 4, 16, 2)
    return whole.contiguous().clone(), octets.permute(0, 1, 3, 5, 2, 4).contiguous().flatten()


def _in_blocks(values_OG: Tensor) -> Tensor:
    """[blocks, G, 32]."""
    padded = F.pad(values_OG, (0, 0, 0, -len(values_OG) % WIDTH))
    blocks = padded.reshape(-1, WIDTH, padded.shape[1]).transpose(1, 2)
    return blocks.clone(memory_format=torch.contiguous_format)
