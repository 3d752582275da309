"""The supported block formats of GGUF, and how stored bytes become elements."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from jackfield.dtypes import BFLOAT16, FLOAT16, FLOAT32, DType
from jackfield_gguf.plain_blocks import PLAIN_BLOCKS


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """A format of runs of elements that are stored together. `bytes` is the size of a block; it is read as `dtype`."""

    name: str
    number: int  # number in files
    elements: int
    bytes: int
    dtype: DType = FLOAT32

    @property
    def is_plain(self) -> bool:
        """True if elements are stored as they are read, one after the other."""
        return self.elements == 1


BLOCK_FORMATS: dict[int, BlockFormat] = {
    block.number: block
    for block in (
        BlockFormat("F32", 0, 1, 4),
        BlockFormat("F16", 1, 1, 2, FLOAT16),
        BlockFormat("BF16", 30, 1, 2, BFLOAT16),
        BlockFormat("Q4_0", 2, 32, 18),  # one float16 scale and 32 elements of 4 bits
        BlockFormat("Q4_1", 3, 32, 20),  # and a float16 minimum
        BlockFormat("Q5_0", 6, 32, 22),
        BlockFormat("Q5_1", 7, 32, 24),
        BlockFormat("Q8_0", 8, 32, 34),
        BlockFormat("Q2_K", 10, 256, 84),  # sixteen groups of 16 with 4-bit scales and minima
        BlockFormat("Q3_K", 11, 256, 110),
        BlockFormat("Q4_K", 12, 256, 144),  # eight groups of 32 with 6-bit scales and minima
        BlockFormat("Q5_K", 13, 256, 176),
        BlockFormat("Q6_K", 14, 256, 210),  # sixteen groups of 16 with 8-bit scales
        BlockFormat("IQ4_NL", 20, 32, 18),  # 4 bits choose one of sixteen uneven levels
        BlockFormat("IQ4_XS", 23, 256, 136),
        # The smaller formats choose from tables of eight elements.
        BlockFormat("IQ2_XXS", 16, 256, 66),
        BlockFormat("IQ2_XS", 17, 256, 74),
        BlockFormat("IQ2_S", 22, 256, 82),
        BlockFormat("IQ3_XXS", 18, 256, 98),
        BlockFormat("IQ3_S", 21, 256, 110),
        BlockFormat("IQ1_S", 19, 256, 50),
        BlockFormat("IQ1_M", 29, 256, 56),
        BlockFormat("TQ1_0", 34, 256, 54),  # -1, 0 and 1
        BlockFormat("TQ2_0", 35, 256, 66),
        BlockFormat("MXFP4", 39, 32, 17),  # 4-bit floats with a power of two as their scale
        BlockFormat("NVFP4", 40, 64, 36),
    )
}

# Types that a file may hold but that are not supported, for messages.
_OTHER_NAMES = {
    9: "Q8_1", 15: "Q8_K", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 31: "Q4_0_4_4",
    32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 41: "Q1_0",
}  # fmt: skip

# Number of elements that are dequantised at once, so that temporary arrays stay in a core's cache.
_CHUNK = 1 << 17


def type_in_words(number: int) -> str:
    """The name of a type by its number in files, supported or not."""
    block = BLOCK_FORMATS.get(number)
    name = block.name if block else _OTHER_NAMES.get(number)
    return f"the type {name}" if name else f"the unknown type number {number}"


def dequantize(data: Any, block: BlockFormat) -> Any:
    """float32 elements of `data`, a flat uint8 array of whole blocks. Always a new array.

    The library works on sixteen rows at a time, which is slow for short rows. Blocks do not depend on rows, so the
    library gets rows of our own length, on as many threads as there are processors: numpy releases the interpreter's
    lock.
    """
    import numpy as np
    from gguf import GGMLQuantizationType, quants

    kind, fill_plain = GGMLQuantizationType(block.number), PLAIN_BLOCKS.get(block.name)
    num_blocks = data.size // block.bytes
    out = np.empty(num_blocks * block.elements, dtype=np.float32)
    step = max(1, _CHUNK // block.elements)

    def fill(first: int) -> None:
        last = min(first + step, num_blocks)
        part = data[first * block.bytes : last * block.bytes]
        place = out[first * block.elements : last * block.elements]
        if fill_plain is not None:
            fill_plain(part.reshape(-1, block.bytes), place.reshape(-1, block.elements))
        else:
            place[:] = quants.dequantize(part.reshape(1, -1), kind)[0]

    starts = range(0, num_blocks, step)
    for _ in _threads().map(fill, starts):
        pass
    return out


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "jackfield-dequantize")
