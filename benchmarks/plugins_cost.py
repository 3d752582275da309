"""Measures the cost of plugins: importing the core, scanning, listing plugins, and observers of a running engine.

    python benchmarks/plugins_cost.py --output benchmarks/results/FILE.json

It needs no tensor library. Programs are timed from outside, alternating, each in its own process. Engines with and without
observers are in one process and alternate in short blocks of steps, because the time of a step drifts by half while a process
runs. The report also has the ratio of two equal engines, which is the noise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from counting_observer import CountingObserver, made

from jackfield.engine.engine import Engine
from jackfield.request import EngineRequest
from jackfield.sampling import SamplingParams
from jackfield.scheduler import Scheduler
from jackfield_bench.report import build, emit, summarise
from jackfield_testing.engine import make_engine

HEAVY = ("torch", "jax", "transformers", "numpy", "tokenizers", "pluggy")
NUM_DISTRIBUTIONS = 300  # other distributions beside ours
NUM_OBSERVERS = 10
NUM_ROWS = 64
NUM_BLOCKS = 20  # blocks of each engine in one measurement
BLOCK_STEPS = 20  # steps of a block; their median is one sample
NUM_STEPS = (NUM_BLOCKS + 1) * BLOCK_STEPS  # the first block admits the requests and is not counted

_IMPORT = """
import sys, time
begin = time.perf_counter()
{statement}
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


def run_python(*words: str, path: Path | None = None) -> str:
    """The output of a Python process that finds modules in the folder `path`, too."""
    environ = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, *words]
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


def measure_import(statement: str, repeats: int) -> dict[str, Any]:
    """Milliseconds of an import, and the heavy modules that it loaded."""
    samples, heavy = [], set()
    code = _IMPORT.format(statement=statement, words=set(HEAVY))
    for _ in range(repeats + 1):
        seconds, *found = run_python("-c", code).split()
        samples.append(float(seconds) * 1e3)
        heavy.update(found)
    return {"ms": summarise(samples[1:]), "heavy_modules": sorted(heavy)}


def write_distributions(folder: Path, number: int) -> None:
    """Write metadata of `number` distributions. A third of them have entry points of their own, as many real ones have."""
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
    """Seconds of the program `jackfield plugins` with and without many other distributions, and its number of scans."""
    with tempfile.TemporaryDirectory() as name:
        crowded, empty = Path(name, "crowded"), Path(name, "empty")
        crowded.mkdir()
        empty.mkdir()
        write_distributions(crowded, NUM_DISTRIBUTIONS)

        def listing(path: Path) -> float:
            begin = perf_counter()
            run_python("-m", "jackfield.cli.main", "plugins", path=path)
            return perf_counter() - begin

        listing(empty)  # the first one reads from the disk
        pairs = [(listing(empty), listing(crowded)) for _ in range(repeats)]
        alone, beside = zip(*pairs, strict=True)
        said = run_python("-c", _COUNT_SCANS, "plugins", path=crowded)
        return {
            "alone_s": summarise(alone),
            f"with_{NUM_DISTRIBUTIONS}_others_s": summarise(beside),
            "metadata_scans": int(said.split()[-1]),
        }


def open_engine(folder: Path, observers: int) -> tuple[Engine, list[CountingObserver]]:
    """Open an engine whose worker answers at once, with all rows in use, and with as many `observers`, all of them plugins."""
    target = "counting_observer:CountingObserver"
    settings = {
        "plugins.local": (
            "executors.instant=jackfield_bench.instant:InstantExecutorFactory",
            *(f"hooks.observer{number}={target}" for number in range(observers)),
        ),
        "select.executor": "instant",
        "cache.num_blocks": NUM_ROWS * 64,
        "scheduler.max_rows": NUM_ROWS,
        "scheduler.max_step_tokens": NUM_ROWS * 64,
    }
    made.clear()
    engine = make_engine(folder, settings, max_length=1024)
    told = made.copy()
    for row in range(NUM_ROWS):
        sampling = SamplingParams(max_tokens=NUM_STEPS + 100, ignore_eos=True)
        request = EngineRequest(
            request_id=str(row), prompt_token_ids=[row + 1] * 16, sampling=sampling
        )
        engine.add_request(request)
    return engine, told


def step_seconds(engine: Engine) -> float:
    """Seconds that an engine spends on a step that decodes all rows, without the worker's time."""
    begin = perf_counter()
    engine.step()
    return perf_counter() - begin


def scheduler_seconds(engine: Engine) -> float:
    """Seconds of `schedule` and `update` in such a step."""
    with patch_scheduler() as spent:
        engine.step()
    return sum(spent)


@contextmanager
def patch_scheduler() -> Iterator[list[float]]:
    """Record the seconds of every call of `schedule` and `update`, until the end of the block."""
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
    maker = engine.text_maker(engine.finish)
    num_steps = num_tokens = 0
    with engine:
        while engine.has_unfinished:
            num_tokens += sum(len(delta.token_ids) for delta in maker.make(engine.step()))
            num_steps += 1
    calls = observer.num_calls
    return {
        "steps": num_steps,
        "tokens": num_tokens,
        "requests": NUM_ROWS,
        "calls": calls,
        "calls_beyond_steps_and_requests": calls - num_steps - NUM_ROWS,
    }


def time_blocks(engines: Sequence[Engine], measure: Callable[[Engine], float]) -> list[list[float]]:
    """Microseconds per step, for each block of each engine. Engines alternate, each time in the opposite order."""
    samples: list[list[float]] = [[] for _ in engines]
    order = list(enumerate(engines))
    for block in range(NUM_BLOCKS + 1):
        order.reverse()
        for index, engine in order:
            middle = statistics.median(measure(engine) for _ in range(BLOCK_STEPS))
            if block > 0:
                samples[index].append(middle * 1e6)
    return samples


def compare_engines(
    folder: Path, measure: Callable[[Engine], float], repeats: int
) -> dict[str, Any]:
    """Compare ten observers with none, and none with none, by pairs of neighbouring blocks of new engines."""
    none_us, ten_us, ratios, noise = [], [], [], []
    for _ in range(repeats):
        engines = [open_engine(folder, count)[0] for count in (0, 0, NUM_OBSERVERS)]
        first, second, ten = time_blocks(engines, measure)
        for engine in engines:
            engine.close()
        none_us.append(statistics.median(first))
        ten_us.append(statistics.median(ten))
        ratios.append(median_ratio(ten, first))
        noise.append(median_ratio(second, first))
    return {
        "none_us": summarise(none_us),
        "ten_us": summarise(ten_us),
        "ten_to_none": summarise(ratios),
        "none_to_none": summarise(noise),
    }


def median_ratio(samples: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of samples that were taken one after the other."""
    return statistics.median(a / b for a, b in zip(samples, others, strict=True))


def measure_observers(repeats: int) -> dict[str, Any]:
    """Measure the scheduler's part and the whole step of the engine, without observers and with ten."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "rows": NUM_ROWS,
            "scheduler_step": compare_engines(folder, scheduler_seconds, repeats),
            "engine_step": compare_engines(folder, step_seconds, repeats),
            "calls_of_one": count_calls(folder),
        }


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    figures = {
        "import": measure_import("import jackfield", arguments.repeats),
        "import_llm": measure_import("from jackfield import LLM", arguments.repeats),
        "list": measure_list(arguments.repeats),
        "observers": measure_observers(arguments.repeats),
    }
    report = build("plugins_cost", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    emit(report, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
