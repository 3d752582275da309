"""`jackfield serve`: an OpenAI-compatible server."""

from __future__ import annotations

import argparse
from typing import ClassVar

from jackfield.cli.settings import MODEL_HELP, add_settings_arguments
from jackfield.interfaces.command import Command
from jackfield_openai_server.arguments import add_serve_arguments
from jackfield_openai_server.options import ServeOptions


class ServeCommand(Command):
    """Serves one model, or the models of a config file."""

    summary = "serve a model over HTTP, compatible with OpenAI's API"
    options: ClassVar[type | None] = ServeOptions

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", nargs="?", help=MODEL_HELP)
        add_serve_arguments(parser)
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Serve until SIGTERM or Ctrl-C. Open requests are answered before the end."""
        from jackfield_openai_server.engine.spawn import end_ahead, spawn_ahead

        spawn_ahead()
        try:
            from jackfield_openai_server.run import serve

            return serve(arguments)
        finally:
            end_ahead()
