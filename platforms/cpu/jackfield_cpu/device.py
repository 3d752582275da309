"""The processor as the torch runtime uses it: its threads, and how much memory the cache takes."""

from __future__ import annotations

import torch

from jackfield.config import CacheSettings
from jackfield_cpu import machine
from jackfield_cpu.kernels import CpuKernels
from jackfield_torch.device import Device
from jackfield_torch.interfaces.kernels import Kernels


class CpuDevice(Device):
    """The processor with a number of threads."""

    name = "cpu"

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads

    def start(self) -> None:
        """Set torch's threads; it keeps a number for each thread that calls, so this must run in the worker's."""
        torch.set_num_threads(self.num_threads)

    def kernels(self) -> Kernels:
        """Index arithmetic by NumPy, the rest by torch."""
        return CpuKernels()

    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """A quarter of the free memory, 4 GiB at most, and no more than is useful, unless the settings say."""
        if settings.memory_bytes is not None:
            return settings.memory_bytes
        free = int(machine.available_bytes() * machine.CACHE_FRACTION)
        return min(free, machine.CACHE_MOST_BYTES, useful_bytes)

    def details(self) -> dict[str, str]:
        """Processor and threads."""
        return {"device": machine.cpu_name(), "threads": str(self.num_threads)}
