"""What the kernels for compact weights share: from words to numbers. See blocks.py for the order of codes."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from jackfield_compact.device.blocks import E4M3, INTEGER, Blocks


@triton.jit
def decode(
    words, place: tl.constexpr, table_ptr, row, KIND: tl.constexpr, BITS: tl.constexpr, ZERO: tl.constexpr
):  # fmt: skip
    """float32, what code `place` of each word [ROWS, WORDS] stands for less ZERO; `row` [ROWS, 1] chooses tables."""
    code = (words >> (BITS * place)) & ((1 << BITS) - 1)
    if (
        KIND == "integer"
    ):  # exact below 2**23: the bits of 2**23 + code are those of the code behind an exponent
        return (code | 0x4B000000).to(tl.float32, bitcast=True) - (8388608.0 + ZERO)
    elif KIND == "e4m3":
        return code.to(tl.uint8).to(tl.float8e4nv, bitcast=True).to(tl.float32)
    elif KIND == "e5m2":
        return code.to(tl.uint8).to(tl.float8e5, bitcast=True).to(tl.float32)
    elif KIND == "table":
        return tl.load(table_ptr + code)
    else:
        return tl.load(table_ptr + row.to(tl.int64) * (1 << BITS) + code)


@triton.jit
def shifted(words, place: tl.constexpr, table_ptr, row, KIND: tl.constexpr, BITS: tl.constexpr):
    """float32 u of each word [BLOCKS, ROWS, WIDTH] for its code `place`; see `scale_inputs` for what it lacks.

    One or two operations: the bits of a whole number stay where they are and count as a float below all normal ones, those
    of a float8 go to where a float32 has its own (exponents differ by a factor of 2**120). `row` [ROWS] chooses tables.
    """
    if KIND == "integer":
        half = words >> 16 if BITS * place >= 16 else words
        mask: tl.constexpr = ((1 << BITS) - 1) << (BITS * place % 16)
        return (half & mask).to(tl.float32, bitcast=True)
    elif KIND == "e4m3":
        top = words << (24 - 8 * place)
        return ((top >> 4) & -0x78100000).to(tl.float32, bitcast=True)
    else:
        return decode(words, place, table_ptr, row[None, :, None], KIND, BITS, 0)


@triton.jit
def scale_inputs(x, place: tl.constexpr, KIND: tl.constexpr, BITS: tl.constexpr):
    """Inputs times what `shifted` leaves out, so far that nothing of a product is lost: see `slope_of`."""
    if KIND == "integer":
        return x * (2.0 ** (100 - BITS * place % 16))
    elif KIND == "e4m3":
        return x * 2.0**60
    else:
        return x


def slope_of(kind: str) -> float:
    """What products of `shifted` and `scale_inputs` are multiplied by."""
    return {INTEGER: 2.0**49, E4M3: 2.0**60}.get(kind, 1.0)


def tensors_of(blocks: Blocks) -> tuple[Any, ...]:
    """The first arguments of every kernel; what a matrix lacks is never read."""
    none = blocks.words_OW
    zeros, table = blocks.zeros_GO, blocks.table
    return (
        blocks.words_OW,
        blocks.scales_GO,
        none if zeros is None else zeros,
        none if table is None else table,
    )


def form_of(blocks: Blocks) -> dict[str, Any]:
    """The constants of every kernel."""
    return {
        "KIND": blocks.kind,
        "BITS": blocks.bits,
        "WIDTH": blocks.width,
        "GROUP": blocks.group_size,
        "ZERO": blocks.zero,
        "HAS_ZEROS": blocks.zeros_GO is not None,
        "EVEN": blocks.num_inputs == blocks.words_OW.shape[1] * blocks.codes_of_word,
    }
