"""Which of AWQ's four packings tensors have, by their types and shapes. Imports no torch. O outputs, I inputs, G groups.

gemm:       qweight int32 [I, O/8], qzeros int32 [G, O/8], scales [G, O]; eight outputs a word, out of order
gemv:       qweight int32 [O, I/8], qzeros int32 [O, W], scales [O, 8 W], W words of eight groups, padded
gemv_fast:  qweight int16 [O/4, I], four outputs a word, inputs out of order; scales, scaled zeros [8 W, O]
marlin:     qweight int32 [I/16, 2 O], scales [G, O], both in the order of one kernel; symmetric
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.errors import CheckpointError
from jackfield.stored_linear import StoredLinear
from jackfield_compact.layout import group_size_of

Shape = tuple[int, ...]


def packing_of(name: str, in_size: int, kind: str, qweight: Shape, scales: Shape) -> str:
    """ "gemm", "gemv", "gemv_fast" or "marlin"; `kind` is the type of qweight. Raises CheckpointError."""
    if len(qweight) == len(scales) == 2:
        rows, columns = qweight
        if kind == "int16" and columns == in_size:
            return "gemv_fast"
        if rows == in_size and scales[1] == 8 * columns:
            return "gemm"
        if scales[0] == rows and 8 * columns == in_size:
            return "gemv"
        if 16 * rows == in_size and 2 * scales[1] == columns:
            return "marlin"
    raise CheckpointError(
        f"qweight of {name} is {kind} of shape {qweight} with scales of shape {scales}, which is none of AWQ's packings "
        f"(gemm, gemv, gemv_fast, marlin) for {in_size} inputs. Fetch the files again"
    )


def group_size_in(settings: Mapping[str, Any]) -> object:
    """The group size that the config states."""
    return settings.get("group_size", settings.get("q_group_size", 128))


def num_groups_of(name: str, in_size: int, num_stored: int, settings: Mapping[str, Any]) -> int:
    """The number of groups, without the padding of scales to whole words. Raises CheckpointError."""
    size = group_size_in(settings)
    size = size if isinstance(size, int) and size > 0 else in_size
    num_groups = -(-in_size // size)
    if num_groups > num_stored:
        raise CheckpointError(
            f"{name} has scales for {num_stored} groups; {in_size} inputs in groups of {size} need {num_groups}. Correct "
            "group_size in the config"
        )
    return num_groups


def check_packing(linear: StoredLinear, settings: Mapping[str, Any]) -> None:
    """Raise CheckpointError if tensors are missing or fit no packing."""
    qweight, scales = linear.tensor("qweight"), linear.tensor("scales")
    name, in_size, out_size = linear.name, linear.in_size, linear.out_size
    if in_size is None:
        return
    packing = packing_of(name, in_size, qweight.dtype.name, qweight.shape, scales.shape)
    if packing in ("gemm", "marlin"):
        num_groups, _ = linear.expect("scales", None, out_size).shape
        group_size_of(in_size, num_groups, group_size_in(settings), name)
        if packing == "gemm" and "qzeros" in linear.tensors:
            linear.expect("qzeros", num_groups, qweight.shape[1])
        return
    by_output = packing == "gemv"
    linear.expect("scales", *((out_size, None) if by_output else (None, out_size)))
    num_groups_of(name, in_size, scales.shape[1 if by_output else 0], settings)
    linear.tensor(*(("qzeros",) if by_output else ("scaled_zeros", "qzeros")))
