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
    gc.collect()
    gc.freeze()  # what was there before is then no object that the collector tells of
    try:
        made = make()
        gc.collect()
        tensors = [x for x in gc.get_objects() if issubclass(type(x), Tensor)]
        return made, sum(dict(map(_storage, tensors)).values())
    finally:
        gc.unfreeze()


def _storage(tensor: Tensor) -> tuple[tuple[str, int], int]:
    """Where the memory is, and its bytes; a layout that says nothing of its memory has that of its elements."""
    if tensor.layout is not torch.strided:
        return ("tensor", id(tensor)), tensor.numel() * tensor.element_size()
    storage = tensor.untyped_storage()
    return (str(tensor.device), storage.data_ptr()), storage.nbytes()
