"""The processor as the torch runtime uses it: its threads, and the memory for the cache."""

from __future__ import annotations

import torch

from jackfield.config import CacheSettings
from jackfield_cpu import machine
from jackfield_cpu.fused import FusedKernels
from jackfield_cpu.kernels import CpuKernels
from jackfield_cpu.native import load_library
from jackfield_torch.device import Device
from jackfield_torch.interfaces.kernels import Kernels


class CpuDevice(Device):
    """The processor with a number of threads."""

    name = "cpu"

    def __init__(self, num_threads: int) -> None:
        self.num_threads = num_threads

    def start(self) -> None:
        """Set the number of torch's threads. torch keeps it for each calling thread, so the worker's thread must call
        this.
        """
        torch.set_num_threads(self.num_threads)

    def kernels(self) -> Kernels:
        """Index arithmetic with NumPy, and native operations if they were compiled. All else with torch."""
        library = load_library()
        return CpuKernels() if library is None else FusedKernels(library, self.num_threads)

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
        """Processor, threads, and what computes norms, activations and rotations."""
        return {
            "device": machine.cpu_name(),
            "threads": str(self.num_threads),
            "operations": "torch's: native ones were not compiled"
            if load_library() is None
            else "native",
        }
