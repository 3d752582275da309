"""`jackfield explain MODEL`: every decision with its reasons, before anything is loaded."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.tables import print_table
from jackfield.config import Layer, to_toml
from jackfield.engine.blueprint import Blueprint, make_blueprint
from jackfield.engine.estimate import MemoryEstimate, estimate_memory
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
        blueprint = make_blueprint(load_from_arguments(arguments), thorough=True)
        if arguments.toml:
            print(to_toml(blueprint.config), end="")
        elif arguments.json:
            print(json.dumps(_document(blueprint, estimate_memory(blueprint)), indent=2))
        else:
            _print(blueprint, estimate_memory(blueprint))
        return 0


def _document(blueprint: Blueprint, memory: MemoryEstimate) -> dict[str, Any]:
    return {
        "model": {"path": str(blueprint.files.path), "architecture": blueprint.spec.architecture},
        "decisions": [asdict(decision) for decision in blueprint.decisions],
        "settings": [
            {"key": key, "value": value, "source": source}
            for key, value, source in _settings(blueprint)
        ],
        "facts": dict(blueprint.facts),
        "memory": asdict(memory),
        "digest": blueprint.activation.digest,
    }


def _settings(blueprint: Blueprint) -> list[tuple[str, Any, str]]:
    """Settings that somebody set, with the place that won."""
    found = []
    for key, source in blueprint.provenance.items():
        if source.layer is not Layer.DEFAULT:
            value: Any = asdict(blueprint.config)
            for part in key.split(".", 2):
                value = value[part]
            found.append((key, value, str(source)))
    return found


def _print(blueprint: Blueprint, memory: MemoryEstimate) -> None:
    print(f"{blueprint.spec.architecture} in {blueprint.files.path}\n")
    for decision in blueprint.decisions:
        print(decision.report())
    print()
    rows = [(key, str(value), source) for key, value, source in _settings(blueprint)]
    print_table(("setting", "value", "set by"), rows)
    print(f"\nweights: {_mib(memory.weight_bytes)} in {blueprint.config.model.dtype}")
    block_size = blueprint.config.cache.block_size
    for number, size in enumerate(memory.block_bytes):
        print(f"cache group {number}: {size:,} bytes a block of {block_size} tokens")
    print(f"cache: {_cache_line(memory)}")


def _cache_line(memory: MemoryEstimate) -> str:
    if memory.problem:
        return memory.problem
    if memory.cache_tokens is not None:
        return f"{memory.cache_tokens:,} tokens"
    most = memory.max_cache_tokens
    room = "" if most is None else f"; at most {most:,} tokens fit beside the weights"
    return f"decided once the weights are loaded{room}"


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
