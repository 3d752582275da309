"""Widens a compact matrix into memory that products share, for steps with so many tokens that arithmetic dominates."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.decoding import decode, form_of, tensors_of
from jackfield_torch.kernels.launch import begin, launch_options, wait_for_inputs

_MOST_WIDE = 1 << 26  # elements; larger matrices are widened in pieces
_ROWS, _WORDS = 8, 128  # held by a program


@triton.jit
def _widen(
    words_ptr, scales_ptr, zeros_ptr, table_ptr, y_ptr, num_words, num_rows, first_row, last_row, num_inputs,
    KIND: tl.constexpr, BITS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, ZERO: tl.constexpr,
    HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, ROWS: tl.constexpr, WORDS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """ROWS outputs, WORDS words of each; rows are written from `first_row` on."""
    begin(DEPENDENT)
    row = first_row + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    word = tl.program_id(1) * WORDS + tl.arange(0, WORDS)
    is_row = row < last_row
    inside = is_row[:, None] & (word < num_words)[None, :]
    words = tl.load(
        words_ptr + row.to(tl.int64)[:, None] * num_words + word[None, :], mask=inside, other=0
    )
    codes: tl.constexpr = 32 // BITS
    first_input = word // WIDTH * (WIDTH * codes) + word % WIDTH
    safe_row = tl.minimum(row, num_rows - 1)
    target = y_ptr + (row - first_row).to(tl.int64)[:, None] * num_inputs
    wait_for_inputs(DEPENDENT)  # what is written over may still be read
    for place in tl.static_range(codes):
        column = first_input + place * WIDTH
        group = tl.zeros_like(column)
        if GROUP != 0:
            group = tl.minimum(column, num_inputs - 1) // GROUP
        at = group.to(tl.int64)[None, :] * num_rows + safe_row[:, None]
        if HAS_ZEROS:
            value = decode(words, place, table_ptr, safe_row[:, None], KIND, BITS, 0)
            value -= tl.load(zeros_ptr + at).to(tl.float32)
        else:
            value = decode(words, place, table_ptr, safe_row[:, None], KIND, BITS, ZERO)
        value *= tl.load(scales_ptr + at).to(tl.float32)
        tl.store(
            target + column[None, :],
            value.to(y_ptr.dtype.element_ty),
            mask=is_row[:, None] & (column < num_inputs)[None, :],
        )


def widen(blocks: Blocks, wide: Tensor, first: int, last: int) -> Tensor:
    """Outputs [first, last) as plain numbers [outputs, K] in the order of the blocks, in the memory of `wide`."""
    rows_RK = wide[: (last - first) * blocks.num_inputs].view(last - first, blocks.num_inputs)
    num_words = blocks.words_OW.shape[1]
    _widen[(triton.cdiv(last - first, _ROWS), triton.cdiv(num_words, _WORDS))](
        *tensors_of(blocks), rows_RK, num_words, blocks.num_outputs, first, last, blocks.num_inputs,
        **form_of(blocks), ROWS=_ROWS, WORDS=_WORDS, num_warps=4, **launch_options(wide.device),
    )  # fmt: skip
    return rows_RK


def wide_rows(blocks: Blocks) -> int:
    """Number of outputs that are widened at a time."""
    return min(blocks.num_outputs, max(1, _MOST_WIDE // blocks.num_inputs))


def multiply_dense(
    x_TK: Tensor, blocks: Blocks, wide: Tensor, bias_O: Tensor | None = None
) -> Tensor:
    """y_TO by the library's product with weights that are widened for this call, rounded to x's dtype."""
    step = wide_rows(blocks)
    if step == blocks.num_outputs:
        rows_RK = widen(blocks, wide, 0, step)
        return torch.nn.functional.linear(x_TK, rows_RK, bias_O)
    y_TO = x_TK.new_empty(len(x_TK), blocks.num_outputs)
    for first in range(0, blocks.num_outputs, step):
        last = min(first + step, blocks.num_outputs)
        torch.mm(x_TK, widen(blocks, wide, first, last).T, out=y_TO[:, first:last])
    return y_TO if bias_O is None else y_TO.add_(bias_O)
