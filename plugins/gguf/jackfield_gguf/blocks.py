"""The block formats of GGUF that are read, and how stored bytes become elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jackfield.dtypes import BFLOAT16, FLOAT16, FLOAT32, DType


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """A run of elements that is stored together. `bytes` a block; `dtype` is what it is read as."""

    name: str
    number: int  # in files
    elements: int
    bytes: int
    dtype: DType = FLOAT32

    @property
    def is_plain(self) -> bool:
        """Stored as it is read, one element after the other."""
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
        BlockFormat("Q4_K", 12, 256, 144),  # eight groups of 32 with 6-bit scales and minima
        BlockFormat("Q5_K", 13, 256, 176),
        BlockFormat("Q6_K", 14, 256, 210),  # sixteen groups of 16 with 8-bit scales
    )
}

# Elements that are dequantised at once: temporaries of some bytes an element then stay in a core's cache.
_CHUNK = 1 << 17


def dequantize(data: Any, block: BlockFormat) -> Any:
    """float32 elements of `data`, a flat uint8 array of whole blocks; always a new array.

    The library works on sixteen rows at a time, which is slow for short rows: blocks know nothing of rows, so it
    gets rows of our own length.
    """
    import numpy as np
    from gguf import GGMLQuantizationType, quants

    kind = GGMLQuantizationType(block.number)
    num_blocks = data.size // block.bytes
    out = np.empty(num_blocks * block.elements, dtype=np.float32)
    step = max(1, _CHUNK // block.elements)
    for first in range(0, num_blocks, step):
        last = min(first + step, num_blocks)
        part = data[first * block.bytes : last * block.bytes].reshape(1, -1)
        out[first * block.elements : last * block.elements] = quants.dequantize(part, kind)[0]
    return out
