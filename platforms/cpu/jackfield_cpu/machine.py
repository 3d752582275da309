"""Facts of the operating system on processor and memory. They are complete on Linux, partial elsewhere."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

from jackfield_cpu.cgroups import Cgroups

_CPUINFO = Path("/proc/cpuinfo")
_THREADS = "OMP_NUM_THREADS"
CACHE_FRACTION = 0.25  # of the free memory: a host has other work beside this engine
CACHE_MOST_BYTES = 4 << 30
CORES = "the cores that this process may use"
_MEMINFO = Path("/proc/meminfo")
# Vector extensions that matter for speed, named as in /proc/cpuinfo on x86 and on ARM.
EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "sve", "bf16", "i8mm")


def cpu_fields() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo; empty if there is none."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpu_name() -> str:
    """The name of the processor."""
    return cpu_fields().get("model name") or platform.processor() or platform.machine()


def cpu_extensions() -> frozenset[str]:
    """The members of EXTENSIONS that the processor has."""
    fields = cpu_fields()
    words = (fields.get("flags") or fields.get("Features") or "").split()
    return frozenset(EXTENSIONS).intersection(words)


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = Cgroups().cores()
    return max(1, min(allowed or 1, int(quota))) if quota is not None else allowed or 1


def usable_threads() -> tuple[int, str]:
    """Number of computing threads, and its reason: OMP_NUM_THREADS if it is a number, else one for each usable core."""
    # A list has numbers for nested regions.
    word = os.environ.get(_THREADS, "").partition(",")[0].strip()
    if word.isdecimal() and int(word):
        return int(word), f"{_THREADS}={word}"
    return usable_cores(), CORES


def available_bytes() -> int:
    """Memory that can be used without swapping: what the machine or its container leaves."""
    limits = (_available_of_machine(), Cgroups().free_bytes())
    return min(limit for limit in limits if limit is not None)


def return_freed_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it otherwise (glibc).

    Loading converts and unpacks one matrix after another. What that took stays with the process: 30 MB for a plain model
    of 135M parameters, up to 125 MB if its weights are packed.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _available_of_machine() -> int:
    for line in _read(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # There is no such file, so half of the memory is assumed to be free.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
