"""Compares quantized weights with bfloat16 ones, alternating in one run: decoding at batch 1 and 32, first token, memory.

    python benchmarks/quantized_speed.py smollm2 int4 int8 fp8 PATH/TO/checkpoint --output benchmarks/results/FILE.json

A word names a scheme for all linears of the plain model, or with `:layers` for all but the head. A path names a checkpoint
of the same model. Each side has its own process and the same number of threads. Figures are medians of `--repeats`
alternating rounds; ratios are computed within a round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sides import Side, side

from jackfield import LLM
from jackfield.cli.settings import load_from_words
from jackfield_bench.report import build, emit, summarise
from jackfield_bench.serving import measure_latency

PLAIN = "bfloat16"
LAYERS = ":layers"  # after a scheme: the head stays plain, as in most checkpoints
# Rows, tokens of a prompt, tokens of an answer, and what is counted.
WORKS = {
    "decode_bs1": (1, 32, 64, "decode_tokens_per_s"),
    "decode_bs32": (32, 32, 48, "decode_tokens_per_s"),
    "first_token_of_512": (1, 512, 2, "first_token_ms"),
}


def settings_of(name: str, model: str) -> list[str]:
    """The model and the settings of a word or path."""
    if name == PLAIN:
        return [model]
    if Path(name).is_dir():
        return [name]
    if not name.endswith(LAYERS):
        return [model, "--set", f"select.quantization={name}"]
    name = name.removesuffix(LAYERS)
    return [
        model,
        "--set",
        f'select.quantization=[{{match={{module="head"}}, use="unquantized"}}, {{use="{name}"}}]',
    ]


def serve(pipe: Connection, words: list[str], threads: int) -> None:
    """Open an engine, send the memory of its process, then answer requests for measurements."""
    common = ["--dtype", "bfloat16", "--set", f"options.cpu.threads={threads}"]
    loaded = load_from_words([*words, *common, "--set", "cache.memory_bytes=256000000"])
    with LLM.from_config(loaded) as llm:
        pipe.send(resident_bytes())
        for work, seed in iter(pipe.recv, None):
            batch, num_prompt, num_outputs, figure = WORKS[work]
            run = measure_latency(
                llm,
                llm.vocab_size,
                batch=batch,
                num_prompt=num_prompt,
                num_outputs=num_outputs,
                seed=seed,
            )
            pipe.send(run[figure])


def resident_bytes() -> int:
    """Memory of this process, without mapped files; 0 if the system does not tell it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows["RssAnon"].split()[0]) * 1024


def measure(sides: Mapping[str, Side], repeats: int) -> dict[str, Any]:
    """Measure all works of all sides alternately, after a warm-up each."""
    figures: dict[str, Any] = {name: {"resident_bytes": one.ready} for name, one in sides.items()}
    for work in WORKS:
        samples: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(repeats + 1):
            for name, one in sides.items():
                samples[name].append(one.measure(work, number))
        plain = samples[PLAIN][1:]
        for name, found in samples.items():
            pairs = zip(found[1:], plain, strict=True)
            is_time = work.startswith("first")
            ratios = [b / a if is_time else a / b for a, b in pairs]
            figures[name][work] = summarise(found[1:])
            figures[name][f"{work}_speedup"] = summarise(ratios)
            print(
                f"  {work} {name}: {figures[name][work]['median']:.1f}, "
                f"{figures[name][f'{work}_speedup']['median']:.2f} times",
                file=sys.stderr,
            )
    return figures


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("others", nargs="*", default=["int4", "int8", "fp8"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(
                side(serve, settings_of(name, arguments.model), arguments.threads)
            )
            for name in (PLAIN, *arguments.others)
        }
        figures = measure(sides, arguments.repeats)
    report = build("quantized_speed", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    emit(report, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
