"""The compiled kernel: its file, and its argument. Imports no torch."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from importlib.util import find_spec

_POINTERS = ("query", "key", "value", "out", "rows", "tokens", "lengths", "block_ids")
_INTS = (
    *("num_rows", "num_heads", "num_kv_heads", "head_size", "block_size", "table_stride"),
    *("query_stride", "block_stride", "slot_stride", "head_stride"),
    *("window", "chunk_size", "is_bf16", "is_float8", "num_threads", "level"),
)


class Level(IntEnum):
    """What the kernel may use of the processor, as in native/decode.h."""

    PORTABLE = 0
    VECTORS = 1  # AVX-512 with BF16 and VBMI


class Decode(ctypes.Structure):
    """`struct Decode` of native/decode.h, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _INTS),
        ("scale", ctypes.c_double),
    ]


def library_path() -> str | None:
    """The file of the kernel; None if it was not compiled."""
    spec = find_spec("jackfield_cpu_paged._decode")
    return spec.origin if spec else None


@cache
def load_library() -> ctypes.CDLL:
    """Load the kernel. Raises OSError if it does not load."""
    path = library_path()
    if path is None:
        raise OSError("the kernel of jackfield-cpu-paged was not compiled")
    library = ctypes.CDLL(path)
    library.paged_decode.argtypes = (ctypes.POINTER(Decode), ctypes.c_void_p)
    library.paged_prompts.argtypes = library.paged_decode.argtypes
    library.paged_decode.restype = library.paged_prompts.restype = None
    library.paged_prompts_serves.argtypes = (ctypes.POINTER(Decode),)
    return library
