"""The work of `jackfield explain`: makes an explanation and prints it, or compares two."""

from __future__ import annotations

import argparse
import json

from jackfield.cli.explain_diff import print_differences
from jackfield.cli.explanation import print_explanation
from jackfield.cli.settings import load_from_arguments
from jackfield.config import LoadedConfig, to_toml
from jackfield.discovery.kinds import PLATFORMS
from jackfield.discovery.profile import Profile, find_profile
from jackfield.discovery.registry import PluginRegistry
from jackfield.errors import ConfigError
from jackfield.startup.blueprint import make_blueprint
from jackfield.startup.explanation import explain

_PROBLEMS = 2  # exit status, as for other wrong input


def run_explain(arguments: argparse.Namespace) -> int:
    """Print decisions, settings and memory, or compare two explanations. Returns 2 if an engine would not start."""
    if arguments.diff:
        _check_alone(arguments)
        return print_differences(*arguments.diff, as_json=arguments.json)
    loaded = load_from_arguments(arguments)
    profile = _profile(loaded, arguments.profile)
    registry = PluginRegistry.scan(loaded.config.plugins, probe=profile.probe if profile else None)
    if arguments.toml:  # only an engine that starts can be reproduced
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
    """Raise ConfigError for options that make no sense beside --diff."""
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
