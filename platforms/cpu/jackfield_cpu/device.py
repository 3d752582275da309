"""The processor as the torch runtime uses it: its threads, and the memory for the cache."""

from __future__ import annotations

import os

import torch

from jackfield.config import CacheSettings
from jackfield_cpu import machine
from jackfield_cpu.kernels import CpuKernels
from jackfield_torch.device import Device
from jackfield_torch.interfaces.kernels import Kernels

# Decode reads weights of gigabytes once a token, and with pages of 4 KiB the processor also reads their page tables. On two
# cores of a virtual machine models of 0.45 and 2.4 GB decode 5 and 2 % faster with pages of 2 MiB.
_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"


class CpuDevice(Device):
    """The processor with a number of threads."""

    name = "cpu"

    def __init__(self, num_threads: int, *, huge_pages: bool = False) -> None:
        self.num_threads, self.huge_pages = num_threads, huge_pages

    def start(self) -> None:
        """Set the number of torch's threads. torch keeps it for each calling thread, so the worker's thread must call
        this. Ask torch's allocator for huge pages: it reads the variable when it makes its first tensor.
        """
        torch.set_num_threads(self.num_threads)
        if self.huge_pages:
            os.environ.setdefault(_HUGE_PAGES, "1")

    def kernels(self) -> Kernels:
        """Index arithmetic with NumPy, all else with torch."""
        return CpuKernels()

    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        """At most a quarter of the free memory, 4 GiB and what is useful, unless the settings give a size.

        The weights are loaded when this is asked, so memory that loading freed goes back to the system first.
        """
        machine.return_freed_memory()
        if settings.memory_bytes is not None:
            return settings.memory_bytes
        free = int(machine.available_bytes() * machine.CACHE_FRACTION)
        return min(free, machine.CACHE_MOST_BYTES, useful_bytes)

    def details(self) -> dict[str, str]:
        """Processor and threads."""
        return {"device": machine.cpu_name(), "threads": str(self.num_threads)}
