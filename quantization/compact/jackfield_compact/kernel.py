"""The compiled kernel: its file, and its argument. Imports no torch."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from importlib.util import find_spec

_POINTERS = (
    *("x", "y", "codes", "table", "table16", "scales", "offsets", "starts", "order", "bias"),
    *("outlier_starts", "outlier_inputs", "outlier_values", "sums"),
)
_INTS = (
    *("num_rows", "num_inputs", "num_outputs", "num_padded", "num_groups", "bits", "has_own"),
    *("is_affine", "x_stride", "is_bf16", "scale_type", "num_threads", "level"),
)


class Level(IntEnum):
    """How products are made, the slowest first. From PORTABLE on the kernel makes them."""

    TORCH = -1  # weights are dequantised for each call
    PORTABLE = 0  # loops in float32
    AVX512 = 1  # with BF16, VBMI and VNNI
    AMX = 2  # with BF16 and INT8, for several rows


WORDS = {
    Level.TORCH: "kept compact, dequantised by torch for each call",
    Level.PORTABLE: "kept compact, multiplied by portable loops in float32",
    Level.AVX512: "kept compact, multiplied by AVX-512 (BF16, VNNI)",
    Level.AMX: "kept compact, multiplied by AVX-512 (BF16, VNNI) for few rows, by AMX for many",
}


WORDS_ON_CARDS = (
    "kept compact, multiplied by Triton's kernels up to 128 tokens of a step (a vector kernel for one, tensor cores for "
    "more), widened for the library's product beyond"
)


class Multiply(ctypes.Structure):
    """`struct Multiply` of native/multiply.h, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _INTS),
    ]


@cache
def load_library() -> ctypes.CDLL | None:
    """Load the kernel; None if it was not compiled. Raises OSError if it does not load."""
    spec = find_spec("jackfield_compact._multiply")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    for name in ("compact_multiply", "compact_multiply_whole"):
        function = getattr(library, name)
        function.argtypes = (ctypes.POINTER(Multiply), ctypes.c_void_p)
        function.restype = None
    return library


@cache
def kernel_level() -> Level:
    """The best level that this processor supports."""
    library = load_library()
    return Level.TORCH if library is None else Level(library.compact_level())
