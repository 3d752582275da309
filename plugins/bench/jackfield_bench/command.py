"""`jackfield bench`: latency, throughput, start-up and scheduler time, as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from jackfield.cli.settings import (
    add_settings_arguments,
    load_from_arguments,
    settings_words,
)
from jackfield.interfaces.command import Command


class BenchCommand(Command):
    """Has a subcommand for each benchmark. The work is fixed, so that figures can be compared."""

    summary = "measure latency, throughput, start-up or the scheduler"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments of each benchmark."""
        from jackfield_bench.outputs import SCORER

        kinds = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
        latency = _benchmark(
            kinds, "latency", "equal requests at once; decode rate and first token"
        )
        latency.add_argument("--batch", type=int, default=1, help="requests at once")
        latency.add_argument("--input-tokens", type=int, default=128, help="of each prompt")
        latency.add_argument("--output-tokens", type=int, default=128, help="of each answer")
        throughput = _benchmark(kinds, "throughput", "requests of mixed lengths at once")
        throughput.add_argument("--requests", type=int, default=32, help="at once")
        throughput.add_argument("--low", type=int, default=64, help="shortest prompt and output")
        throughput.add_argument("--high", type=int, default=256, help="longest prompt and output")
        _benchmark(kinds, "startup", "a fresh process: import, ready, first token")
        scheduler = _benchmark(
            kinds, "scheduler", "host time of a step, without a model", takes_model=False
        )
        scheduler.add_argument(
            "--tokenizer",
            metavar="MODEL",
            help="of this model; default: one trained on Python's manual",
        )
        gpu = _benchmark(
            kinds,
            "gpu",
            "an accelerator on two shapes with random weights, beside vLLM",
            takes_model=False,
        )
        add_settings_arguments(gpu)
        gpu.add_argument(
            "--shape", action="append", help="one of the shapes; several times for more"
        )
        gpu.add_argument("--work", action="append", help="one line of the report; likewise")
        gpu.add_argument(
            "--scorer",
            default=SCORER,
            metavar="MODULE",
            help="what checks the outputs, by a model of its own; default: %(default)s",
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Measure and print the report."""
        from jackfield_bench.report import build, emit

        runs: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
            "latency": _model_figures,
            "throughput": _model_figures,
            "startup": _startup_figures,
            "gpu": _accelerator_figures,
            "scheduler": _scheduler_figures,
        }
        figures = runs[arguments.benchmark](arguments)
        settings = {key: value for key, value in vars(arguments).items() if _is_plain(value)}
        emit(build(arguments.benchmark, settings, figures), arguments.output)
        return 0


def _benchmark(
    kinds: Any, name: str, summary: str, *, takes_model: bool = True
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=summary, description=summary)
    if takes_model:
        parser.add_argument("model", help="folder, file, hub name, pypi:NAME==VERSION or alias")
        add_settings_arguments(parser)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="median of N")
    parser.add_argument("--output", metavar="FILE", help="write the JSON there, too")
    return parser


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, list)) or value is None


def _model_figures(arguments: argparse.Namespace) -> dict[str, Any]:
    from jackfield.client import LLM
    from jackfield_bench.serving import measure_latency, measure_throughput

    with LLM.from_config(load_from_arguments(arguments)) as llm:

        def once(seed: int) -> dict[str, float]:
            if arguments.benchmark == "latency":
                sizes = {
                    "num_prompt": arguments.input_tokens,
                    "num_outputs": arguments.output_tokens,
                }
                return measure_latency(
                    llm, llm.vocab_size, batch=arguments.batch, seed=seed, **sizes
                )
            sizes = {"count": arguments.requests, "low": arguments.low, "high": arguments.high}
            return measure_throughput(llm, llm.vocab_size, seed=seed, **sizes)

        once(0)  # warm-up
        return _collect([once(1 + number) for number in range(arguments.repeats)])


def _startup_figures(arguments: argparse.Namespace) -> dict[str, Any]:
    from jackfield_bench.serving import measure_startup

    words = settings_words(arguments)
    return _collect([measure_startup(words) for _ in range(arguments.repeats)])


def _accelerator_figures(arguments: argparse.Namespace) -> dict[str, Any]:
    from jackfield_bench.accelerator_report import measure_shapes

    return measure_shapes(arguments)


def _scheduler_figures(arguments: argparse.Namespace) -> dict[str, Any]:
    from jackfield_bench.engine_step import measure_engine
    from jackfield_bench.scheduling import measure_scheduler

    return {
        **measure_scheduler(repeats=arguments.repeats),
        "engine_step": measure_engine(arguments.repeats, arguments.tokenizer),
    }


def _collect(samples: list[dict[str, float]]) -> dict[str, Any]:
    from jackfield_bench.report import summarise

    return {key: summarise([sample[key] for sample in samples]) for key in samples[0]}
