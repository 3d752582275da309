"""The compiled operations: their file, and their arguments. Imports no torch."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec


class Norm(ctypes.Structure):
    """`struct Norm` of native/norm.cpp, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "branch", "weight", "out")),
        *((name, ctypes.c_int64) for name in ("num_rows", "size", "is_bf16", "num_threads")),
        ("epsilon", ctypes.c_double),
    ]


class Gate(ctypes.Structure):
    """`struct Gate` of native/gate.cpp, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "out")),
        *((name, ctypes.c_int64) for name in ("num_rows", "size", "activation", "is_bf16")),
        ("num_threads", ctypes.c_int64),
    ]


class Heads(ctypes.Structure):
    """`struct Heads` of native/heads.cpp, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("qkv", "cos", "sin", "slots", "weight")),
        *((name, ctypes.c_void_p) for name in ("query", "key", "value")),
        *((name, ctypes.c_int64) for name in ("num_tokens", "num_heads", "num_kv_heads")),
        *((name, ctypes.c_int64) for name in ("head_size", "rotary_size", "block_size")),
        *((name, ctypes.c_int64) for name in ("qkv_stride", "cos_stride", "sin_stride")),
        *((name, ctypes.c_int64) for name in ("block_stride", "slot_stride", "head_stride")),
        *((name, ctypes.c_int64) for name in ("value_block_stride", "value_slot_stride")),
        *((name, ctypes.c_int64) for name in ("value_head_stride", "interleaved", "is_bf16")),
        ("num_threads", ctypes.c_int64),
        ("epsilon", ctypes.c_double),
    ]


class Experts(ctypes.Structure):
    """`struct Experts` of native/experts.cpp, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "expert", "weight", "into", "into_bias")),
        *((name, ctypes.c_void_p) for name in ("out", "out_bias", "y", "scratch")),
        *((name, ctypes.c_int64) for name in ("num_tokens", "top_k", "hidden", "between")),
        *((name, ctypes.c_int64) for name in ("x_stride", "num_experts", "first", "activation")),
        *((name, ctypes.c_int64) for name in ("is_bf16", "num_threads")),
    ]


class Product(ctypes.Structure):
    """`struct Product` of native/product.cpp, where the fields are explained."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("x", "norm", "weight", "bias", "y", "scratch")),
        *((name, ctypes.c_int64) for name in ("num_tokens", "size", "num_outputs", "x_stride")),
        *((name, ctypes.c_int64) for name in ("activation", "adds", "num_threads")),
        ("epsilon", ctypes.c_double),
    ]


# In the order of `enum Activation` of native/activation.h.
ACTIVATIONS = ("silu", "gelu_tanh", "gelu_sigmoid", "relu", "relu_squared")
_ARGUMENTS = {
    "jackfield_add_rms_norm": Norm,
    "jackfield_gate": Gate,
    "jackfield_heads": Heads,
    "jackfield_experts": Experts,
    "jackfield_product": Product,
}


def library_path() -> str | None:
    """The file of the operations; None if they were not compiled."""
    spec = find_spec("jackfield_cpu._operations")
    return spec.origin if spec else None


@cache
def load_library() -> ctypes.CDLL | None:
    """Load the operations; None if they were not compiled. Raises OSError if they do not load."""
    path = library_path()
    if path is None:
        return None
    library = ctypes.CDLL(path)
    for name, argument in _ARGUMENTS.items():
        function = getattr(library, name)
        function.argtypes = (ctypes.POINTER(argument), ctypes.c_void_p)
        function.restype = None
    for name in ("jackfield_experts_bytes", "jackfield_experts_use_tiles"):
        function = getattr(library, name)
        function.argtypes, function.restype = (ctypes.POINTER(Experts),), ctypes.c_int64
    library.jackfield_product_bytes.argtypes = (ctypes.POINTER(Product),)
    library.jackfield_product_bytes.restype = ctypes.c_int64
    library.jackfield_product_most_tokens.restype = ctypes.c_int64
    library.jackfield_experts_serve.restype = ctypes.c_int64
    return library
