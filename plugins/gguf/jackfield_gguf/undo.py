"""The format's changes to tensors, and how they are undone.

Converters permute Llama's q and k, so that rotary pairs are neighbours; add one to Gemma's norms; store GPT-2's
matrices as [out, in], while its own checkpoint has [in, out]; store the decay of a state space instead of its
logarithm; and cut the matrix that expands a latent vector in two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from jackfield.dtypes import FLOAT32, DType
from jackfield.errors import CheckpointError
from jackfield_gguf.blocks import dequantize
from jackfield_gguf.reader import GgufTensor


class Undo(Enum):
    """The operation that turns a stored tensor into the canonical one."""

    NOTHING = auto()
    UNPAIR = auto()  # rotary pairs (0, 1), (2, 3), ... of each head become halves
    SUBTRACT_ONE = auto()
    TRANSPOSE = auto()
    LOGARITHM = auto()  # [heads, 1] of -exp(a) becomes [heads] of a
    FLATTEN = auto()  # becomes one axis
    ONE_ROW = auto()  # becomes [1, size]
    ADD_AXIS = auto()  # [channels, kernel] becomes [channels, 1, kernel]
    KEYS = auto()  # [heads, latent, key]: the first half of a tensor, the other is VALUES
    VALUES = auto()  # [heads, value, latent]


JOINED = (Undo.KEYS, Undo.VALUES)
# Unchanged except for the shape.
_AS_STORED = (Undo.NOTHING, Undo.FLATTEN, Undo.ONE_ROW, Undo.ADD_AXIS)
_COMPUTED = (Undo.SUBTRACT_ONE, Undo.LOGARITHM, *JOINED)


def canonical_shape(undo: Undo, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the canonical tensor, from the stored shape."""
    count = 1
    for size in shape:
        count *= size
    if undo is Undo.TRANSPOSE:
        return shape[::-1]
    if undo in (Undo.FLATTEN, Undo.LOGARITHM):
        return (count,)
    if undo is Undo.ONE_ROW:
        return (1, count)
    return (shape[0], 1, *shape[1:]) if undo is Undo.ADD_AXIS else shape


def canonical_dtype(undo: Undo, stored: GgufTensor) -> DType:
    """The type of the canonical elements."""
    return FLOAT32 if undo in _COMPUTED else stored.format.dtype


def canonical_bytes(
    undo: Undo, view: memoryview, stored: GgufTensor, num_heads: int = 0
) -> memoryview:
    """The canonical elements of `view`, the stored bytes. If there is nothing to undo, `view` itself."""
    import numpy as np

    if stored.format.is_plain and undo in _AS_STORED:
        return view
    data: Any = np.frombuffer(view, dtype=np.uint8)
    if undo is Undo.UNPAIR:
        data = unpair(data, stored, num_heads)
    if not stored.format.is_plain or undo in _COMPUTED:
        data = dequantize(data, stored.format)
    if undo is Undo.SUBTRACT_ONE:
        data -= 1
    if undo is Undo.LOGARITHM:
        np.log(np.negative(data, out=data), out=data)
    if undo is Undo.TRANSPOSE:
        itemsize = canonical_dtype(undo, stored).itemsize
        data = np.ascontiguousarray(data.view(f"u{itemsize}").reshape(stored.shape).T)
    return memoryview(data).cast("B")


def unpair(data: Any, stored: GgufTensor, num_heads: int) -> Any:
    """Move rows from rotary pairs back to halves, for each head. Rows are moved as they are stored, with their blocks."""
    num_rows = stored.shape[0] if len(stored.shape) > 1 else stored.shape[-1]
    if num_rows % (2 * num_heads) or data.size % num_rows:
        raise CheckpointError(
            f"{stored.name!r} has the shape {list(stored.shape)}; {num_heads} heads need a first axis "
            f"that is a multiple of {2 * num_heads}. Metadata and tensors are of different models"
        )
    rows = data.reshape(num_heads, num_rows // num_heads // 2, 2, -1)
    return rows.swapaxes(1, 2).reshape(-1)


def joined_shape(parts: Mapping[Undo, GgufTensor]) -> tuple[int, int]:
    """[heads * (key + value), latent] of KEYS and VALUES. Raises CheckpointError if they do not fit."""
    keys, values = (parts.get(undo) for undo in JOINED)
    if keys is None or values is None or len(keys.shape) != 3 or len(values.shape) != 3:
        shown = ", ".join(f"{part.name} of shape {list(part.shape)}" for part in parts.values())
        raise CheckpointError(
            f"attn_k_b and attn_v_b must both be there, with three axes each; found {shown}. Convert the model again"
        )
    heads, latent, key = keys.shape
    if values.shape[0] != heads or values.shape[2] != latent:
        raise CheckpointError(
            f"{keys.name} has the shape {list(keys.shape)} and {values.name} {list(values.shape)}; expected "
            "[heads, latent, key] and [heads, value, latent]. Convert the model again"
        )
    return heads * (key + values.shape[1]), latent


def join(keys: memoryview, values: memoryview, parts: Mapping[Undo, GgufTensor]) -> memoryview:
    """float32 elements of the tensor that was cut into KEYS and VALUES: for each head its keys, then its values."""
    import numpy as np

    k_HLK = np.frombuffer(keys, np.float32).reshape(parts[Undo.KEYS].shape)
    v_HVL = np.frombuffer(values, np.float32).reshape(parts[Undo.VALUES].shape)
    whole: Any = np.ascontiguousarray(np.concatenate([k_HLK.swapaxes(1, 2), v_HVL], axis=1))
    return memoryview(whole).cast("B")
