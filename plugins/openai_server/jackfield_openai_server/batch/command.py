"""`jackfield run-batch`: answers all requests of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

from jackfield.cli.settings import MODEL_HELP, add_settings_arguments
from jackfield.interfaces.command import Command
from jackfield_openai_server.arguments import add_engine_arguments
from jackfield_openai_server.options import ServeOptions


class RunBatchCommand(Command):
    """Answers with a model on this machine, or with a running server."""

    summary = "answer a file of requests in the form of OpenAI's batches"
    options: ClassVar[type | None] = ServeOptions

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", nargs="?", help=f"{MODEL_HELP}; left out with --url")
        add = parser.add_argument
        add("-i", "--input-file", type=Path, required=True, metavar="FILE", help="JSON lines")
        add(
            "-o", "--output-file", type=Path, required=True, metavar="FILE",
            help="JSON lines; what an earlier run wrote there is not asked again",
        )  # fmt: skip
        add("--url", help="of a server that runs, instead of a model")
        add("--max-concurrency", type=int, default=256, metavar="N", help="requests at once")
        add_engine_arguments(parser)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Answer all requests. Returns 1 if some have no answer. An interrupt loses no answer."""
        from jackfield_openai_server.batch.run import run

        return run(arguments)
