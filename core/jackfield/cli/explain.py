"""`jackfield explain MODEL`: every decision with its reasons, before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.cli.settings import add_settings_arguments
from jackfield.interfaces.command import Command


class ExplainCommand(Command):
    """Decides as an engine does, but asks every candidate, goes on after a failure, and prints everything."""

    summary = "say what an engine would choose for a model, and why"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "model", nargs="?", help="folder, file, hub name, pypi:NAME==VERSION or alias"
        )
        parser.add_argument(
            "--profile",
            metavar="NAME|FILE",
            help="explain for another machine, by what probes found there: h100, cpu-avx2, or a file "
            "of `jackfield doctor --save-profile`",
        )
        parser.add_argument(
            "--diff",
            nargs=2,
            type=Path,
            metavar=("A", "B"),
            help="compare two explanations that were saved with --json; status 1 if they differ",
        )
        parser.add_argument(
            "--facts",
            action="store_true",
            help="also print the features and facts that were asked with, and what probes found "
            "(they are always in --json)",
        )
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--json", action="store_true", help="one JSON object")
        output.add_argument(
            "--toml",
            action="store_true",
            help="the effective config, a file that reproduces the run",
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print decisions, settings and memory, or compare two explanations. Returns 2 if an engine would not start."""
        from jackfield.cli.explaining import run_explain

        return run_explain(arguments)
