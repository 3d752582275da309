"""`jackfield generate`: answer prompts and print the text."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.cli.sampling import add_sampling_arguments
from jackfield.cli.settings import MODEL_HELP, add_settings_arguments
from jackfield.interfaces.command import Command


class GenerateCommand(Command):
    """Answers prompts from the command line or a file, all at once through continuous batching."""

    summary = "answer prompts and print the text"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", nargs="?", help=MODEL_HELP)
        parser.add_argument("words", nargs="*", metavar="WORD", help="a prompt, as --prompt")
        parser.add_argument(
            "--prompt", action="append", default=[], help="may be given several times"
        )
        parser.add_argument(
            "--prompts-file",
            type=Path,
            metavar="FILE",
            help='one prompt a line, or JSON lines: {"prompt": ...} or {"messages": ...}, with sampling fields',
        )
        parser.add_argument(
            "--chat", action="store_true", help="wrap each prompt in the chat template"
        )
        parser.add_argument("--system", metavar="TEXT", help="system message; implies --chat")
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--stream", action="store_true", help="print text as it is generated")
        output.add_argument("--json", action="store_true", help="one JSON object a line, in order")
        add_sampling_arguments(parser)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Generate. Returns 1 if any request failed."""
        from jackfield.cli.generation import run_generate

        return run_generate(arguments)
