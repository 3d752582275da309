"""`jackfield models`: the models that have names here, and what a name leads to."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.cli.tables import gib, print_table
from jackfield.discovery.registry import PluginRegistry
from jackfield.environment import cache_folder
from jackfield.errors import ModelNotFound
from jackfield.interfaces.command import Command
from jackfield.interfaces.model_source import KnownModel, ModelReference
from jackfield.startup.no_model import known_models, no_source
from jackfield.startup.sources import source_of


class ModelsCommand(Command):
    """Asks the model sources. Fetches nothing."""

    summary = "list the models that have short names or are here, or say what a name leads to"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name", nargs="?", help="say what this would lead to")
        parser.add_argument("--json", action="store_true", help="one JSON array")
        add_settings_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Print the list, or the model that was asked for."""
        registry = PluginRegistry.scan(load_from_arguments(arguments).config.plugins)
        known = known_models(registry)
        if arguments.name is not None:
            known = [_found(registry, arguments.name, known)]
        if arguments.json:
            print(json.dumps([_as_json(source, model) for source, model in known], indent=2))
            return 0
        rows = [(model.name, _size(model), source, _where(model)) for source, model in known]
        print_table(("model", "size", "source", "where"), rows)
        return 0


def _found(
    registry: PluginRegistry, name: str, known: list[tuple[str, KnownModel]]
) -> tuple[str, KnownModel]:
    """The model that an engine would take for `name`. Raises ModelNotFound."""
    need = ModelReference(text=name, cache_folder=cache_folder())
    found = source_of(registry, need)
    if found is None:
        raise ModelNotFound(no_source("model", name, (model.name for _, model in known)))
    owner, source = found
    if owner == "local":
        return owner, KnownModel(name=name, path=source.resolve(need).path)
    here = {model.name: model for other, model in known if other == owner}
    return owner, here.get(name, KnownModel(name=name))


def _size(model: KnownModel) -> str:
    return "" if model.num_bytes is None else gib(model.num_bytes)


def _where(model: KnownModel) -> str:
    return str(model.path) if model.path else "not here: it would be fetched"


def _as_json(source: str, model: KnownModel) -> dict[str, Any]:
    return {**asdict(model), "path": str(model.path) if model.path else None, "source": source}
