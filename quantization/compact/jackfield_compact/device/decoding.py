"""What the kernels for compact weights share: from words to numbers. See blocks.py for the order of codes."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from jackfield_compact.device.blocks import E4M3, INTEGER, Blocks


@triton.jit
def decode(words, place: tl.constexpr, table_ptr, row, KIND: tl.constexpr, BITS: tl.constexpr):
    """float32, what code `place` of each word [ROWS, WORDS] stands for; `row` [ROWS, 1] chooses tables."""
    code = (words >> (BITS * place)) & ((1 << BITS) - 1)
    if (
        KIND == "integer"
    ):  # exact below 2**23: the bits of 2**23 + code are those of the code behind an exponent
        return (code | 0x4B000000).to(tl.float32, bitcast=True) - 8388608.0
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
    """float32 u of each word [ROWS, BLOCKS, WIDTH] such that its code `place` stands for grown * slope * (u - offset).

    These are what `shift_of` says. Two or three operations: the bits of a code are moved behind the exponent of 1, those of
    a float8 to where a float32 has its own (exponents differ by a factor of 2**120). `row` [ROWS] chooses tables.
    """
    if KIND == "integer":
        shift: tl.constexpr = BITS * place - (23 - BITS)
        mask: tl.constexpr = ((1 << BITS) - 1) << (23 - BITS)
        moved = words >> shift if shift > 0 else words << (-shift)
        return ((moved & mask) | 0x3F800000).to(tl.float32, bitcast=True)
    elif KIND == "e4m3":
        top = words << (24 - 8 * place)
        return ((top >> 4) & -0x78100000).to(tl.float32, bitcast=True)
    else:
        return decode(words, place, table_ptr, row[:, None, None], KIND, BITS)


def shift_of(kind: str, bits: int) -> dict[str, float]:
    """Constants of kernels that multiply by what `shifted` gives; the inputs are multiplied by GROWN before."""
    if kind == INTEGER:
        return {"SLOPE": float(2**bits), "OFFSET": 1.0, "GROWN": 1.0}
    if kind == E4M3:
        return {"SLOPE": 2.0**60, "OFFSET": 0.0, "GROWN": 2.0**60}
    return {"SLOPE": 1.0, "OFFSET": 0.0, "GROWN": 1.0}


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
