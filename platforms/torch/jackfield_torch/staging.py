"""The way of a step's small arrays from the host to the device: one transfer for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNMENT = 16  # bytes; each array starts at a multiple


class Staging:
    """Uploads arrays. On the host they are handed over as they are, without a copy."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_host = device.type == "cpu"

    def upload(self, arrays: Sequence[NDArray[np.generic]]) -> list[Tensor]:
        """The arrays as tensors on the device. They must not be changed afterwards."""
        if self._is_host:
            return [torch.from_numpy(array) for array in arrays]
        return unpack(self._send(pack(arrays)), arrays)

    def _send(self, packed: Tensor) -> Tensor:
        return packed.pin_memory().to(self._device, non_blocking=True)


def pack(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    """All arrays in one tensor of bytes."""
    starts, size = _places(arrays)
    packed = np.empty(size, np.uint8)
    for start, array in zip(starts, arrays, strict=True):
        packed[start : start + array.nbytes] = (
            np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        )
    return torch.from_numpy(packed)


def unpack(packed: Tensor, arrays: Sequence[NDArray[np.generic]]) -> list[Tensor]:
    """Views of the packed bytes with the dtypes and shapes of the arrays."""
    starts, _ = _places(arrays)
    dtypes = [torch.from_numpy(np.empty(0, array.dtype)).dtype for array in arrays]
    return [
        packed[start : start + array.nbytes].view(dtype).view(array.shape)
        for start, array, dtype in zip(starts, arrays, dtypes, strict=True)
    ]


def _places(arrays: Sequence[NDArray[np.generic]]) -> tuple[list[int], int]:
    starts, end = [], 0
    for array in arrays:
        starts.append(end)
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return starts, end
