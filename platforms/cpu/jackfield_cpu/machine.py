"""What the operating system says of the processor and the memory. Linux in full, elsewhere as far as it goes."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from jackfield_cpu.cgroups import Cgroups

_CPUINFO = Path("/proc/cpuinfo")
_THREADS = "OMP_NUM_THREADS"
CACHE_FRACTION = 0.25  # of the memory that is free: a host has other work than this engine
CACHE_MOST_BYTES = 4 << 30
CORES = "the cores that this process may use"
_MEMINFO = Path("/proc/meminfo")
# Vector extensions that decide what is fast; the words of /proc/cpuinfo on x86 and on ARM.
EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "sve", "bf16", "i8mm")


def cpu_fields() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo; empty if there is none."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text().split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpu_name() -> str:
    """What the processor is called."""
    return cpu_fields().get("model name") or platform.processor() or platform.machine()


def cpu_extensions() -> frozenset[str]:
    """Those of EXTENSIONS that the processor has."""
    fields = cpu_fields()
    words = (fields.get("flags") or fields.get("Features") or "").split()
    return frozenset(EXTENSIONS).intersection(words)


def usable_cores() -> int:
    """Cores that this process may run on: its affinity, and the quota of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = Cgroups().cores()
    return max(1, min(allowed or 1, int(quota))) if quota is not None else allowed or 1


def usable_threads() -> tuple[int, str]:
    """Threads that compute, and why as many: OMP_NUM_THREADS where it is a number, else one for each usable core."""
    word = os.environ.get(_THREADS, "").partition(",")[0].strip()  # a list: of nested regions
    if word.isdecimal() and int(word):
        return int(word), f"{_THREADS}={word}"
    return usable_cores(), CORES


def available_bytes() -> int:
    """Memory that can be taken without swapping: of the machine, or what its container leaves."""
    limits = (_available_of_machine(), Cgroups().free_bytes())
    return min(limit for limit in limits if limit is not None)


def _available_of_machine() -> int:
    for line in _read(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    )  # no such file: half of all


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
