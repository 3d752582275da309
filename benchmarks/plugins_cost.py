"""What it costs that every part is a plugin: the import, the scan, the list of plugins, and observers of a running engine.

    python benchmarks/plugins_cost.py --output benchmarks/results/FILE.json

Nothing here needs a tensor library. Programs are timed from outside, each in a process of its own; what is compared
alternates, and the ratio is that of the medians. `noise` is how far the same measurement differs from itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from jackfield.cli.benchmarks.report import build, emit, summarise
from jackfield.engine.engine import Engine
from jackfield.interfaces.hooks import hookimpl
from jackfield.request import EngineRequest, RequestOutput
from jackfield.sampling import SamplingParams
from jackfield.scheduler import Scheduler
from jackfield.testing.engine import make_engine

HEAVY = ("torch", "jax", "transformers", "numpy", "tokenizers", "pluggy")
NUM_DISTRIBUTIONS = 300  # installed beside ours
NUM_OBSERVERS = 10
NUM_ROWS = 64
NUM_STEPS = 400  # in one measurement

_IMPORT = """
import sys, time
begin = time.perf_counter()
import jackfield
print(time.perf_counter() - begin, *({words} & set(sys.modules)))
"""
_COUNT_SCANS = """
import sys
if sys.version_info >= (3, 12):
    from importlib import metadata
else:
    import importlib_metadata as metadata
scans, discover = [], metadata.Distribution.discover.__func__
def counted(cls, **given):
    if "name" not in given and "context" not in given:  # all that is installed, not one distribution
        scans.append(given)
    return discover(cls, **given)
metadata.Distribution.discover = classmethod(counted)
from jackfield.cli.main import main
status = main(sys.argv[1:])
print("scans", len(scans))
sys.exit(status)
"""


class Observer:
    """Marks every hook there is, and counts."""

    def __init__(self) -> None:
        self.num_calls = 0

    @hookimpl
    def engine_started(self) -> None:
        """The engine is ready."""
        self.num_calls += 1

    @hookimpl
    def step_finished(self, stats: Mapping[str, float]) -> None:
        """A step was resolved."""
        self.num_calls += 1

    @hookimpl
    def request_finished(self, output: RequestOutput) -> None:
        """A request ended."""
        self.num_calls += 1


def run_python(*words: str, path: Path | None = None) -> str:
    """What a Python process prints, with a folder more on its path."""
    environ = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, *words]
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


def measure_import(repeats: int) -> dict[str, Any]:
    """Milliseconds of `import jackfield`, and which heavy modules came with it."""
    samples, heavy = [], set()
    for _ in range(repeats + 1):
        seconds, *found = run_python("-c", _IMPORT.format(words=set(HEAVY))).split()
        samples.append(float(seconds) * 1e3)
        heavy.update(found)
    return {"ms": summarise(samples[1:]), "heavy_modules": sorted(heavy)}


def write_distributions(folder: Path, number: int) -> None:
    """Metadata of so many distributions, with entry points of their own as many real ones have."""
    for index in range(number):
        info = folder / f"neighbour_{index}-1.{index}.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: neighbour-{index}\nVersion: 1.{index}.0\n"
        )
        (info / "RECORD").write_text("")
        if index % 3 == 0:
            script = f"[console_scripts]\nneighbour-{index} = neighbour_{index}.main:main\n"
            (info / "entry_points.txt").write_text(script)


def measure_list(repeats: int) -> dict[str, Any]:
    """Seconds of the whole program `jackfield plugins`, with and without many neighbours; full scans in it."""
    with tempfile.TemporaryDirectory() as name:
        crowded, empty = Path(name, "crowded"), Path(name, "empty")
        crowded.mkdir()
        empty.mkdir()
        write_distributions(crowded, NUM_DISTRIBUTIONS)

        def listing(path: Path) -> float:
            begin = perf_counter()
            run_python("-m", "jackfield.cli.main", "plugins", path=path)
            return perf_counter() - begin

        figures = compare(lambda: listing(empty), lambda: listing(crowded), repeats)
        said = run_python("-c", _COUNT_SCANS, "plugins", path=crowded)
        return {
            "alone_s": figures["first"],
            f"with_{NUM_DISTRIBUTIONS}_others_s": figures["second"],
            "metadata_scans": int(said.split()[-1]),
        }


def open_engine(folder: Path, observers: int) -> tuple[Engine, list[Observer]]:
    """An engine whose worker answers at once, with full rows and so many observers."""
    settings = {
        "plugins.local": ("executors.instant=instant_executor:InstantExecutorFactory",),
        "select.executor": "instant",
        "cache.num_blocks": NUM_ROWS * 64,
        "scheduler.max_rows": NUM_ROWS,
        "scheduler.max_step_tokens": NUM_ROWS * 64,
    }
    engine = make_engine(folder, settings, max_length=1024)
    told = [Observer() for _ in range(observers)]
    for observer in told:
        engine.observers.add(observer)
    for row in range(NUM_ROWS):
        sampling = SamplingParams(max_tokens=NUM_STEPS + 100, ignore_eos=True)
        request = EngineRequest(
            request_id=str(row), prompt_token_ids=[row + 1] * 16, sampling=sampling
        )
        engine.add_request(request)
    return engine, told


def step_us(folder: Path, observers: int) -> float:
    """Median microseconds of an engine's step that decodes all rows: all of it but the worker."""
    engine, _ = open_engine(folder, observers)
    with engine:
        samples = []
        for _ in range(NUM_STEPS):
            begin = perf_counter()
            engine.step()
            samples.append(perf_counter() - begin)
    return statistics.median(samples[10:]) * 1e6  # the first ones admit


def scheduler_us(folder: Path, observers: int) -> float:
    """Of that step the scheduler's part: median microseconds of `schedule` and `update` together."""
    engine, _ = open_engine(folder, observers)
    samples = []
    with engine, patch_scheduler() as spent:
        for _ in range(NUM_STEPS):
            spent.clear()
            engine.step()
            samples.append(sum(spent))
    return statistics.median(samples[10:]) * 1e6


@contextmanager
def patch_scheduler() -> Iterator[list[float]]:
    """Seconds of every call of `schedule` and `update`, until the end of the block."""
    spent: list[float] = []

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            begin = perf_counter()
            result = method(*values)
            spent.append(perf_counter() - begin)
            return result

        return call

    with (
        patch.object(Scheduler, "schedule", timed(Scheduler.schedule)),
        patch.object(Scheduler, "update", timed(Scheduler.update)),
    ):
        yield spent


def count_calls(folder: Path) -> dict[str, Any]:
    """How often an observer is called while an engine runs to the end of its requests."""
    engine, (observer,) = open_engine(folder, observers=1)
    num_steps = num_tokens = 0
    with engine:
        while engine.has_unfinished:
            ended = [output for output in engine.step() if output.finished]
            num_steps += 1
            num_tokens += sum(len(output.outputs[0].token_ids) for output in ended)
    calls = observer.num_calls
    return {
        "steps": num_steps,
        "tokens": num_tokens,
        "requests": NUM_ROWS,
        "calls": calls,
        "calls_beyond_steps_and_requests": calls - num_steps - NUM_ROWS,
    }


def compare(
    first: Callable[[], float], second: Callable[[], float], repeats: int
) -> dict[str, Any]:
    """Both in turn after one warm-up each; the ratio of the medians, and how far `first` differs from itself."""
    first()
    second()
    pairs = [(first(), second()) for _ in range(repeats)]
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    middle = statistics.median(left)
    deviations = [abs(sample - middle) for sample in left]
    return {
        "first": summarise(left),
        "second": summarise(right),
        "ratio": round(statistics.median(right) / middle, 4),
        "noise": round(statistics.median(deviations) / middle, 4),
    }


def measure_observers(repeats: int) -> dict[str, Any]:
    """The scheduler's step, and the whole step of the engine, without observers and with ten."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def beside(measure: Callable[[Path, int], float]) -> dict[str, Any]:
            none, ten = partial(measure, folder, 0), partial(measure, folder, NUM_OBSERVERS)
            figures = compare(none, ten, repeats)
            return {"none_us": figures.pop("first"), "ten_us": figures.pop("second"), **figures}

        return {
            "rows": NUM_ROWS,
            "scheduler_step": beside(scheduler_us),
            "engine_step": beside(step_us),
            "calls_of_one": count_calls(folder),
        }


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    figures = {
        "import": measure_import(arguments.repeats),
        "list": measure_list(arguments.repeats),
        "observers": measure_observers(arguments.repeats),
    }
    report = build("plugins_cost", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    emit(report, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
