"""`jackfield chat`: a conversation in the terminal."""

from __future__ import annotations

import argparse

from jackfield.cli.sampling import add_sampling_arguments
from jackfield.cli.settings import MODEL_HELP, add_settings_arguments
from jackfield.interfaces.command import Command


class ChatCommand(Command):
    """Reads lines, keeps the conversation, streams the answers."""

    summary = "talk with a model in the terminal"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", nargs="?", help=MODEL_HELP)
        parser.add_argument(
            "--url", help="of a server that speaks OpenAI's API; then `model` is one of its names"
        )
        parser.add_argument("--system", default=None, metavar="TEXT", help="system message")
        add_sampling_arguments(parser, fits_context=True)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Talk until the user ends it. Returns 1 if lines of a pipe had no answer."""
        from jackfield.cli.talk import run_chat

        return run_chat(arguments)
