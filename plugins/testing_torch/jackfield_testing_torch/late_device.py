"""A processor that behaves like an asynchronous device: its copies arrive late, and memory in flight is poisoned.

It pads steps, replays them, and delivers results when two more steps have come. Code that reads a result too early,
reuses staged memory too early, or gives a graph tensors that move, computes wrong answers or raises here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from jackfield.config import CacheSettings
from jackfield_torch.device import Device, Event

T = TypeVar("T")
_POISON = 0xA5  # every byte of memory in flight
_NUM_LATE = 4  # events that must follow before an event has passed; a step records two
# After this time without events all recorded ones have passed, so that nothing waits forever.
_IDLE_S = 0.01
_CACHE_BYTES = 64 << 20


class LateDevice(Device):
    """Computes at once, and copies to and from the host late."""

    name = "cpu"
    row_sizes = (1, 2, 4, 8)

    def __init__(self) -> None:
        self._host: set[int] = set()  # addresses of `host_memory`
        self._copies: deque[_Copy | _LateEvent] = deque()  # in order, with the events between them
        self._num_recorded = 0
        self._newest_s = 0.0
        self._changed = threading.Condition()

    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """As many bytes as are asked for."""
        return settings.memory_bytes or min(useful_bytes, _CACHE_BYTES)

    def host_memory(self, num_bytes: int) -> Tensor:
        """Memory that the device recognises by its address."""
        memory = torch.empty(num_bytes, dtype=torch.uint8)
        self._host.add(memory.untyped_storage().data_ptr())
        return memory

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Write to the device at once; write to the host when the next event passes."""
        with self._changed:
            if source.untyped_storage().data_ptr() in self._host:
                target.copy_(source)
                self._copies.append(_Copy(source, None))
            else:
                assert target.untyped_storage().data_ptr() in self._host, "not host_memory()"
                self._copies.append(_Copy(target, source.clone()))

    def record(self) -> Event:
        """Record an event that passes late."""
        with self._changed:
            self._num_recorded += 1
            event = _LateEvent(self, self._num_recorded)
            self._copies.append(event)
            self._newest_s = time.monotonic()
            self._changed.notify_all()
        return event

    def capture(self, function: Callable[[], T]) -> Callable[[], T]:
        """A replay computes again from the tensors of the captured step, which all steps must use."""
        kept = function()

        def replay() -> T:
            again = function()
            if isinstance(kept, Tensor) and isinstance(again, Tensor):
                kept.copy_(again)
            return kept

        return replay

    def wait(self, event: _LateEvent) -> None:
        """Wait until enough events have followed, or no more come."""
        with self._changed:
            while not event.has_passed:
                idle_s = self._newest_s + _IDLE_S - time.monotonic()
                if self._num_recorded >= event.number + _NUM_LATE or idle_s <= 0:
                    self._pass(event)
                else:
                    self._changed.wait(idle_s)

    def _pass(self, event: _LateEvent) -> None:
        while not event.has_passed:
            match self._copies.popleft():
                case _Copy() as copy:
                    copy.finish()
                case _LateEvent() as passed:
                    passed.has_passed = True


class _LateEvent:
    def __init__(self, device: LateDevice, number: int) -> None:
        self._device = device
        self.number = number
        self.has_passed = False

    def wait(self) -> None:
        self._device.wait(self)


class _Copy:
    """Host memory between the start of a copy and its event. It holds poison, which no code may change."""

    def __init__(self, host: Tensor, arrives: Tensor | None) -> None:
        self._host = host
        self._bytes = host.view(torch.uint8).flatten()
        self._arrives = arrives  # None: the device reads it
        with torch.inference_mode():
            self._bytes.fill_(_POISON)

    def finish(self) -> None:
        if not bool((self._bytes == _POISON).all()):
            raise AssertionError("host memory was used while a copy was still in flight")
        if self._arrives is not None:
            with torch.inference_mode():
                self._host.copy_(self._arrives)
