"""The arguments for settings that all commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from jackfield.config import LoadedConfig, load_config
from jackfield.errors import ConfigError

# Arguments that are short forms of settings. Commands that need a model declare `model` themselves.
_SHORT_FORMS = {
    "model": "model.reference",
    "dtype": "model.dtype",
    "platform": "select.platform",
    "quantization": "select.quantization",
}


MODEL_HELP = "folder, file, hub name, pypi:NAME==VERSION or alias; may stand in a config file as model.reference"


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --config, --set, --adapter, --dtype, --platform and --quantization."""
    group = parser.add_argument_group("settings (docs/configuration.md)")
    group.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="one setting; may be given several times, and wins over the file and the environment",
    )
    group.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a change of the weights that requests may name; may be given several times",
    )
    group.add_argument(
        "--dtype", metavar="NAME", help="of weights and activations: float32, bfloat16, ..."
    )
    group.add_argument(
        "--platform", metavar="NAME", help="the device, instead of the preferred one"
    )
    group.add_argument(
        "--quantization",
        metavar="NAME",
        help="round plain weights while loading: int4, int8, fp8; checkpoints that are quantized need no name",
    )


def load_from_arguments(arguments: argparse.Namespace) -> LoadedConfig:
    """The config from file, environment and these arguments. Raises ConfigError.

    A positional argument called `model` becomes model.reference.
    """
    values = {
        key: text
        for name, key in _SHORT_FORMS.items()
        if (text := getattr(arguments, name, None)) is not None
    }
    for entry in arguments.adapter:
        name, equals, folder = entry.partition("=")
        if not equals or not name or not folder:
            raise ConfigError(
                f"--adapter takes NAME=FOLDER, got {entry!r}; e.g. --adapter sql=./sql"
            )
        values[f"adapters.{name}"] = folder
    for entry in arguments.set:
        key, equals, text = entry.partition("=")
        if not equals or "." not in key:
            raise ConfigError(
                f"--set takes SECTION.KEY=VALUE, got {entry!r}; e.g. --set cache.block_size=32"
            )
        values[key.strip()] = text
    return load_config(file=arguments.config, cli=values)


def settings_words(arguments: argparse.Namespace) -> list[str]:
    """Words of a command line that give another process the model and settings of `arguments`."""
    words = [] if arguments.model is None else [arguments.model]
    for name in ("config", *_SHORT_FORMS):
        value = None if name == "model" else getattr(arguments, name)
        words += [] if value is None else [f"--{name}", str(value)]
    words += [word for entry in arguments.adapter for word in ("--adapter", entry)]
    return words + [word for entry in arguments.set for word in ("--set", entry)]


def load_from_words(words: Sequence[str]) -> LoadedConfig:
    """The config that `settings_words` describe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    add_settings_arguments(parser)
    return load_from_arguments(parser.parse_args(words))
