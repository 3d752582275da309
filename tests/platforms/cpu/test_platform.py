"""What the CPU platform finds out about a processor, and what it chooses because of that."""

import dataclasses
import platform
import subprocess
import sys

import pytest

from jackfield.config import CacheSettings, load_config
from jackfield.errors import ConfigError
from jackfield.startup.blueprint import make_blueprint
from jackfield_cpu import machine
from jackfield_cpu.cgroups import Cgroups
from jackfield_cpu.device import CpuDevice
from jackfield_cpu.options import CpuOptions
from jackfield_cpu.platform import CpuPlatform

ZEN_4 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16 sse\n\nprocessor\t: 1\n"
OLD_X86 = "processor\t: 0\nmodel name\t: Old Xeon\nflags\t\t: fpu avx2 sse\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16\n"


@pytest.fixture
def computer(tmp_path, monkeypatch):
    """Stands in for /proc and /sys; call it with the content of files."""
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "meminfo")
    own = tmp_path / "own"
    own.write_text("0::/\n")
    monkeypatch.setattr(machine, "Cgroups", lambda: Cgroups(tmp_path, own))

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.parametrize(
    ("cpuinfo", "dtype"),
    [(ZEN_4, "bfloat16"), (ARM, "bfloat16"), (OLD_X86, "float32"), (None, "float32")],
    ids=["Zen 4", "ARM", "old x86", "unknown"],
)
def test_bfloat16_is_the_default_where_it_is_fast(computer, cpuinfo, dtype):
    computer(**({"cpuinfo": cpuinfo} if cpuinfo else {}))
    platform = CpuPlatform()

    assert platform.defaults(platform.probe())["model.dtype"] == dtype


def test_the_probe_names_processor_and_extensions(computer):
    computer(cpuinfo=ZEN_4)

    facts = CpuPlatform().probe()

    assert facts["name"] == "AMD EPYC"
    assert (facts["avx512_bf16"], facts["amx_bf16"]) == (True, False)


def test_the_probe_imports_no_torch():
    code = (
        "import sys; from jackfield_cpu.platform import CpuPlatform; CpuPlatform().probe();"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_container_limits_cores_and_memory(computer, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(16)))
    computer(
        cpu_max="300000 100000\n",
        memory_max=f"{8 << 30}\n",
        memory_current=f"{3 << 30}\n",
        meminfo="MemTotal: 99 kB\nMemAvailable:   67108864 kB\n",
    )

    assert machine.usable_cores() == 3
    assert machine.available_bytes() == 5 << 30


def test_without_a_container_the_machine_is_the_limit(computer, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 5})
    computer(
        cpu_max="max 100000\n",
        memory_max="max\n",
        memory_current="5\n",
        meminfo="MemAvailable: 1024 kB\n",
    )

    assert machine.usable_cores() == 2
    assert machine.available_bytes() == 1 << 20


@pytest.mark.parametrize(
    ("available_gib", "useful_gib", "expected_gib"), [(100, 9, 4), (8, 9, 2), (100, 1, 1)]
)
def test_the_cache_takes_a_modest_share(monkeypatch, available_gib, useful_gib, expected_gib):
    monkeypatch.setattr(machine, "available_bytes", lambda: available_gib << 30)

    found = CpuDevice(1).cache_bytes(CacheSettings(), useful_gib << 30)

    assert found == expected_gib << 30


def test_the_user_decides_how_large_the_cache_is():
    assert CpuDevice(1).cache_bytes(CacheSettings(memory_bytes=12345), 99) == 12345


def test_no_threads_are_too_few():
    with pytest.raises(ConfigError, match=r"options\.cpu\.threads must be at least 1"):
        CpuOptions(threads=0)


@pytest.mark.parametrize(
    ("threads", "num_ranks", "expected"), [(None, 1, 8), (None, 2, 4), (None, 16, 1), (3, 2, 3)]
)
def test_ranks_share_the_cores(tiny_llama, monkeypatch, threads, num_ranks, expected):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = {"model.reference": str(tiny_llama.path)}
    if threads:
        code["options.cpu.threads"] = threads
    context = make_blueprint(load_config(environ={}, code=code)).context()

    device = CpuPlatform().create_device(dataclasses.replace(context, num_ranks=num_ranks))

    assert device.num_threads == expected


@pytest.mark.parametrize(
    ("word", "threads", "expected"), [("1", None, 1), ("3,2", None, 3), ("1", 4, 4), ("", None, 8), ("many", None, 8)]
)  # fmt: skip
def test_the_usual_variable_says_how_many_threads_compute_unless_a_setting_does(
    tiny_llama, monkeypatch, word, threads, expected
):
    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", word)
    code = {"model.reference": str(tiny_llama.path)}
    if threads:
        code["options.cpu.threads"] = threads

    context = make_blueprint(load_config(environ={}, code=code)).context()

    assert CpuPlatform().create_device(context).num_threads == expected
    assert CpuPlatform().probe()["threads"] == (
        8 if threads is None and expected == 8 else int(word[:1] or 8)
    )


FREED = """
from pathlib import Path
from jackfield_cpu.machine import return_freed_memory
def resident():
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows["RssAnon"].split()[0])
blocks = [bytearray(60_000) for _ in range(2_000)]
kept = bytearray(60_000)
blocks.clear()
before = resident()
return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_freed_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=True)

    assert int(done.stdout) > 80_000  # KiB of 117,000
