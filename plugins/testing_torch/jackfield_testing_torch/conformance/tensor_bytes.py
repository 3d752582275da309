"""Memory of tensors that Python holds, whoever holds them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def made_with_bytes(make: Callable[[], T]) -> tuple[T, int]:
    """What `make` returns, and the bytes of the tensors that came with it and stay: views of one memory count once."""
    before = _tensors()  # held, so that no other tensor gets the id of one of them
    known = set(map(id, before))
    made = make()
    gc.collect()
    new = [tensor for tensor in _tensors() if id(tensor) not in known]
    return made, sum(dict(map(_storage, new)).values())


def _tensors() -> list[Tensor]:
    return [x for x in gc.get_objects() if issubclass(type(x), Tensor)]


def _storage(tensor: Tensor) -> tuple[tuple[str, int], int]:
    """Where the memory is, and its bytes; a layout that says nothing of its memory has that of its elements."""
    if tensor.layout is not torch.strided:
        return ("tensor", id(tensor)), tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    return (str(tensor.device), storage.data_ptr()), storage.nbytes()
