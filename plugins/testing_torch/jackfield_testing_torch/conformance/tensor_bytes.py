"""Counts the memory of all tensors in the process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def made_with_bytes(make: Callable[[], T]) -> tuple[T, int]:
    """The result of `make`, and the bytes of new tensors that stay. Views of the same memory count once."""
    before = _tensors()  # kept, so that no new tensor gets the id of an old one
    known = set(map(id, before))
    made = make()
    gc.collect()
    new = [tensor for tensor in _tensors() if id(tensor) not in known]
    return made, sum(dict(map(_storage, new)).values())


def _tensors() -> list[Tensor]:
    return [x for x in gc.get_objects() if issubclass(type(x), Tensor)]


def _storage(tensor: Tensor) -> tuple[tuple[str, int], int]:
    """Address of the memory, and its bytes. If a layout does not tell its memory, the bytes of its elements count."""
    if tensor.layout is not torch.strided:
        return ("tensor", id(tensor)), tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    return (str(tensor.device), storage.data_ptr()), storage.nbytes()
