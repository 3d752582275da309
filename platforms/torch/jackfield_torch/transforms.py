"""Undoes how a checkpoint stores a tensor, by the spec's table of modules."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from jackfield.model_spec import (
    Entry,
    Offset,
    Permute,
    Split,
    SplitGroups,
    Transform,
    Transpose,
)


def apply_transforms(tensor: Tensor, transforms: Sequence[Transform]) -> Tensor:
    """The tensor after all transforms, in order; may be a view. Raises ValueError if one does not fit."""
    for transform in transforms:
        tensor = _apply(tensor, transform)
    return tensor


def _apply(tensor: Tensor, transform: Transform) -> Tensor:
    match transform:
        case Transpose():
            return tensor.t() if tensor.ndim == 2 else tensor
        case Split(start, stop):
            if stop > tensor.shape[0]:
                raise ValueError(f"rows {start} to {stop} do not exist")
            return tensor[start:stop]
        case SplitGroups(num_groups, start, stop):
            return _rows_of_groups(tensor, num_groups, start, stop)
        case Entry(index, count):
            if index >= tensor.shape[0] or count not in (None, tensor.shape[0]):
                raise ValueError(f"axis 0 does not hold {count or f'entry {index}'}")
            return tensor[index]
        case Offset(value):
            return tensor + value
        case Permute(num_heads):
            return _halves_from_pairs(tensor, num_heads)


def _rows_of_groups(tensor: Tensor, num_groups: int, start: int, stop: int) -> Tensor:
    size, rest = divmod(tensor.shape[0], num_groups)
    if rest or stop > size:
        raise ValueError(f"axis 0 does not hold rows {start} to {stop} of {num_groups} parts")
    parts = tensor.reshape(num_groups, size, *tensor.shape[1:])
    return parts[:, start:stop].reshape(-1, *tensor.shape[1:])


def _halves_from_pairs(tensor: Tensor, num_heads: int) -> Tensor:
    """Rows (0, 1), (2, 3), ... of each head to (0, 2, ...), (1, 3, ...)."""
    if tensor.shape[0] % (2 * num_heads):
        raise ValueError(f"axis 0 does not hold pairs for {num_heads} heads")
    pairs = tensor.reshape(num_heads, -1, 2, *tensor.shape[1:])
    return pairs.transpose(1, 2).reshape(tensor.shape)
