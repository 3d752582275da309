"""Memory of the host for copies to and from the device: a ring of slots, one for each step in flight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield_torch.device import Device, Event

_ALIGNMENT = 16  # bytes


class Slot:
    """One slot of the ring. It belongs to a step until `free` is called or its event has passed."""

    def __init__(self, device: Device, num_bytes: int) -> None:
        self._device = device
        self._memory = device.host_memory(num_bytes)
        self._used = 0  # bytes
        self.event: Event | None = None  # after it the device no longer uses the slot
        self.finish: Callable[[], None] | None = None  # reads the slot for the host

    @property
    def words(self) -> Tensor:
        """The whole slot as int32."""
        return self._memory.view(torch.int32)

    def read(self, source: Tensor) -> NDArray[Any]:
        """Copy a tensor of the device to the host. The array is valid when the slot's event has passed."""
        num_bytes = source.numel() * source.itemsize
        start = -(-self._used // _ALIGNMENT) * _ALIGNMENT
        self._used = start + num_bytes
        if self._used > len(
            self._memory
        ):  # arrays of this step that were taken keep the old memory
            self._memory = self._device.host_memory(max(self._used, 2 * len(self._memory)))
            self._used, start = num_bytes, 0
        target = self._memory[start : start + num_bytes].view(source.dtype).view(source.shape)
        self._device.copy(target, source)
        array: NDArray[Any] = target.numpy()
        return array

    def reset(self) -> None:
        """Make the slot free. What it holds of the last step is read, or discarded."""
        if self.finish is not None:
            self.finish()
        elif self.event is not None:
            self.event.wait()
        self.event = self.finish = None
        self._used = 0


class StagingRing:
    """Slots in turn. With one more slot than steps in flight, `take` never waits."""

    def __init__(self, device: Device, num_slots: int, num_bytes: int) -> None:
        self._slots = [Slot(device, num_bytes) for _ in range(num_slots)]
        self._next = 0

    def close(self) -> None:
        """Wait until no slot is in use."""
        for slot in self._slots[self._next :] + self._slots[: self._next]:
            slot.reset()

    def take(self) -> Slot:
        """The slot whose last use is the oldest. Waits until its step no longer needs it."""
        slot = self._slots[self._next]
        self._next = (self._next + 1) % len(self._slots)
        slot.reset()
        return slot


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """A new tensor on the device, for values that change rarely. The host waits for nothing."""
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)
