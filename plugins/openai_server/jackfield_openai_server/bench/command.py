"""`jackfield bench serve`: measures a running server, ours or another one."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.interfaces.command import Command


class BenchServeCommand(Command):
    """A sweep over rates of requests. It needs no model here. Options are named as in `vllm bench serve` if that has
    them.
    """

    summary = "load a server that speaks OpenAI's API and measure what its clients wait for"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add("--url", "--base-url", default="http://127.0.0.1:8000", help="of the server")
        add("--model", metavar="NAME", help="default: the first that the server lists")
        add("--endpoint", choices=("completions", "chat"), default="completions", help="to ask")
        add("--num-prompts", type=int, default=64, metavar="N", help="requests at each rate")
        add(
            "--request-rate", nargs="+", default=["inf"], metavar="R",
            help="requests a second, several for a sweep; inf: all at once",
        )  # fmt: skip
        add("--burstiness", type=float, default=1.0, help="1: Poisson; larger: more even")
        add("--max-concurrency", type=int, metavar="N", help="requests under way at once")
        add("--input-len", type=int, default=128, metavar="N", help="words of each prompt")
        add("--output-len", type=int, default=128, metavar="N", help="tokens of each answer")
        add("--dataset", type=Path, metavar="FILE", help="JSON lines with prompt or messages")
        add("--temperature", type=float, metavar="T", help="default: the server's own")
        add(
            "--no-ignore-eos", dest="ignore_eos", action="store_false",
            help="let answers end by themselves; for servers that do not know ignore_eos",
        )  # fmt: skip
        add(
            "--goodput", nargs="+", default=[], metavar="GOAL:MS",
            help="count requests that meet goals: ttft, tpot, e2el",
        )  # fmt: skip
        add("--timeout", type=float, default=600.0, metavar="S", help="for each request")
        add("--warmups", type=int, default=1, metavar="N", help="requests before the first rate")
        add("--seed", type=int, default=0, help="of prompts and times")
        add("--output", metavar="FILE", help="write the JSON there, too")
        add("--picture", type=Path, metavar="FILE", help="draw the sweep: .svg, or .png")

    def run(self, arguments: argparse.Namespace) -> int:
        """Measure and print the report. Returns 1 if no request succeeded. Key: $JACKFIELD_API_KEY or $OPENAI_API_KEY."""
        from jackfield_openai_server.bench.run import run

        return run(arguments)
