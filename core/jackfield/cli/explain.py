"""`jackfield explain MODEL`: every decision with its reasons, before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.config import LoadedConfig, to_toml
from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.profile import Profile, find_profile
from jackfield.discovery.registry import PluginRegistry, probe_here
from jackfield.interfaces.command import Command


class ExplainCommand(Command):
    """Makes the same blueprint as an engine does, but asks every candidate, and prints it."""

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
        output = parser.add_mutually_exclusive_group()
        output.add_argument("--json", action="store_true", help="one JSON object")
        output.add_argument(
            "--toml",
            action="store_true",
            help="the effective config, a file that reproduces the run",
        )
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print decisions, settings and memory, or what differs between two of them."""
        from jackfield.cli.explain_diff import print_differences
        from jackfield.cli.explanation import print_document, print_text
        from jackfield.engine.blueprint import make_blueprint

        if arguments.diff:
            return print_differences(*arguments.diff, as_json=arguments.json)
        loaded = load_from_arguments(arguments)
        profile = _profile(loaded, arguments.profile)
        probe = profile.probe if profile else probe_here
        registry = PluginRegistry.scan(loaded.config.plugins, probe=probe)
        blueprint = make_blueprint(loaded, registry, thorough=True)
        if arguments.toml:
            print(to_toml(blueprint.config), end="")
        elif arguments.json:
            print_document(blueprint, profile.name if profile else None)
        else:
            print_text(blueprint, profile.name if profile else None)
        return 0


def _profile(loaded: LoadedConfig, word: str | None) -> Profile | None:
    if word is None:
        return None
    platforms = PluginRegistry.scan(loaded.config.plugins).refs(PLATFORMS)
    return find_profile(word, platforms)
