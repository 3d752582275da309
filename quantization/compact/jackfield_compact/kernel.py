"""The compiled kernel: where it lies, and the argument that it takes. Imports no torch."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec

_POINTERS = (
    *("x", "y", "codes", "table", "table16", "scales", "offsets", "starts", "order", "bias"),
    *("outlier_starts", "outlier_inputs", "outlier_values", "sums"),
)
_INTS = (
    *("num_rows", "num_inputs", "num_outputs", "num_padded", "num_groups", "bits", "has_own"),
    *("x_stride", "is_bf16", "scale_type", "num_threads"),
)


class Multiply(ctypes.Structure):
    """`struct Multiply` of native/multiply.cpp, which says what each field means."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _INTS),
    ]


@cache
def load_library() -> ctypes.CDLL | None:
    """The kernel, None where it was not compiled. Raises OSError where it does not load."""
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
def has_avx512() -> bool:
    """True where the kernel is there and this processor has AVX-512 with BF16, VBMI and VNNI."""
    library = load_library()
    return library is not None and bool(library.compact_has_avx512())


@cache
def openmp_parallel() -> int | None:
    """The address of GOMP_parallel in the OpenMP library that torch runs on, None where it uses another one.

    Ask after torch was imported: it opens its libraries for all to see.
    """
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (OSError, AttributeError, TypeError):  # TypeError: no handle of the process on Windows
        return None
    return ctypes.cast(function, ctypes.c_void_p).value
