"""The card of the CPU platform."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.config import Scalar
from jackfield.config.options import read_options
from jackfield.interfaces.card import Facts
from jackfield.interfaces.worker import Worker, WorkerContext
from jackfield_cpu import libraries, machine
from jackfield_cpu.native import library_path
from jackfield_cpu.options import CpuOptions
from jackfield_torch.device import Device
from jackfield_torch.platform import TorchPlatform

# Processors that multiply bfloat16 natively. On others float32 is faster, although it is twice as large.
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")


class CpuPlatform(TorchPlatform):
    """The processor that this process runs on."""

    options = CpuOptions
    facts_last = False  # the free memory changes
    device = "cpu"
    attention_preference = ("cpu_paged", "torch_sdpa")

    def probe(self) -> Facts:
        """Name, cores, threads, memory, vector extensions, and whether native operations were compiled.

        Reads a few files and imports nothing.
        """
        has = machine.cpu_extensions()
        threads, why = machine.usable_threads()
        return {
            "device": self.device,
            "name": machine.cpu_name(),
            "cores": machine.usable_cores(),
            "threads": threads,
            "threads_from": why,
            "available_bytes": machine.available_bytes(),
            "cache_fraction": machine.CACHE_FRACTION,
            "cache_most_bytes": machine.CACHE_MOST_BYTES,
            "native_operations": library_path() is not None,
            **{extension: extension in has for extension in machine.EXTENSIONS},
        }

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        """bfloat16 if the processor multiplies it, otherwise float32."""
        fast = any(facts.get(extension) for extension in _BFLOAT16)
        return {"model.dtype": "bfloat16" if fast else "float32"}

    def create_worker(self, context: WorkerContext) -> Worker:
        """See TorchPlatform. The libraries that torch loads are set first."""
        libraries.set_defaults()
        return super().create_worker(context)

    def create_device(self, context: WorkerContext) -> Device:
        """The processor. If several ranks run on it and no number of threads is set, each gets its share of the cores."""
        from jackfield_cpu.device import CpuDevice

        options = read_options(CpuOptions, "cpu", context.config)
        threads, why = machine.usable_threads()
        if why == machine.CORES:
            threads = max(1, threads // context.num_ranks)
        return CpuDevice(options.threads or threads)
