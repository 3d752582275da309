"""How a model's authors want vectors to be made: the files of Sentence Transformers beside a model.

`modules.json` names the modules in order: a Transformer, a Pooling with its own config.json in a folder, perhaps
linears (`Dense`, with weights) and `Normalize`. `config_sentence_transformers.json` has the texts to put before an
input (Reimers and Gurevych 2019, and the library's own documentation).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jackfield.checkpoint.json_file import read_if_there, read_json, read_json_list
from jackfield.errors import CheckpointError, UnsupportedModelError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.pooling import CLS, LAST, MEAN, Dense, Pooling

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
_KINDS = {"cls": CLS, "mean": MEAN, "lasttoken": LAST}
_OLD_KINDS = {
    "pooling_mode_cls_token": CLS,
    "pooling_mode_mean_tokens": MEAN,
    "pooling_mode_lasttoken": LAST,
}
_ACTIVATIONS = {
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Identity": None,
    "Linear": None,
}
_IDLE = ("Transformer", "Dropout")  # the model itself, and a module that only acts in training


def read_pooling(files: ModelFiles, config: Mapping[str, Any]) -> Pooling | None:
    """The pooling in the files; None if there are no such files. `config` is the model's own.

    Raises CheckpointError for a broken file, UnsupportedModelError for a module that is not served.
    """
    path = files.find(MODULES)
    if path is None:
        return None
    kind: str | None = None
    normalize, dense, said_by = False, [], MODULES
    for folder, name in _modules(path):
        if name == "Pooling":
            said_by = f"{folder}/config.json"
            kind = _kind(_config(files, folder))
        elif name == "Normalize":
            normalize = True
        elif name == "Dense" and not normalize:
            dense.append(_dense(_config(files, folder), folder))
        elif name not in _IDLE:
            raise UnsupportedModelError(
                f"{path} asks for the module {name!r} in {folder!r}, which is not served; served are Transformer, Pooling "
                "(mean, cls, lasttoken), then Dense, then Normalize"
            )
    if kind is None:
        return None
    prompts = read_if_there(files.find(PROMPTS))
    return Pooling(
        kind=kind,
        normalize=normalize,
        dense=tuple(dense),
        dimensions=read_dimensions(config),
        prompts=_prompts(prompts),
        default_prompt=prompts.get("default_prompt_name"),
        source=said_by,
    )


def read_dimensions(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Sizes that vectors may be cut to: the listed ones, () for any size, None if the config does not say."""
    listed = config.get("matryoshka_dimensions")
    if listed:
        return tuple(int(size) for size in listed)
    return () if config.get("is_matryoshka") else None


def _modules(path: Path) -> list[tuple[str, str]]:
    """Folder and name of the modules, in order."""
    entries = read_json_list(path)
    if not all(isinstance(one, Mapping) for one in entries):
        raise CheckpointError(f"{path} must be a list of modules; fetch the file again")
    return [
        (str(one.get("path", "")), str(one.get("type", "")).rpartition(".")[2]) for one in entries
    ]


def _config(files: ModelFiles, folder: str) -> Mapping[str, Any]:
    path = files.find(f"{folder}/config.json")
    if path is None:
        raise CheckpointError(
            f"{files.path / folder}/config.json is missing, which {MODULES} names; fetch the folder too"
        )
    config: Mapping[str, Any] = read_json(path)
    return config


def _kind(config: Mapping[str, Any]) -> str:
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [key for key in config if key.startswith("pooling_mode_") and config[key]]
    modes = [modes] if isinstance(modes, str) else list(modes)
    found = [_KINDS.get(mode) or _OLD_KINDS.get(mode) for mode in modes] or [MEAN]
    if len(found) != 1 or found[0] is None or not config.get("include_prompt", True):
        asked = ", ".join(modes) + (
            "" if config.get("include_prompt", True) else " without prompts"
        )
        raise UnsupportedModelError(
            f"the pooling {asked} of this model is not served; one of {', '.join(_KINDS)} is"
        )
    return found[0]


def _dense(config: Mapping[str, Any], folder: str) -> Dense:
    name = str(config.get("activation_function") or "Tanh").rpartition(".")[2]
    if name not in _ACTIVATIONS or config.get("use_residual"):
        raise UnsupportedModelError(
            f"the Dense in {folder!r} has activation_function={name!r}, use_residual={config.get('use_residual', False)}; "
            f"served are {', '.join(_ACTIVATIONS)}, without a residual"
        )
    return Dense(
        folder=folder,
        in_size=int(config["in_features"]),
        out_size=int(config["out_features"]),
        bias=bool(config.get("bias", True)),
        activation=_ACTIVATIONS[name],
    )


def _prompts(config: Mapping[str, Any]) -> Mapping[str, str] | None:
    prompts = config.get("prompts")
    return {str(k): str(v) for k, v in prompts.items()} if isinstance(prompts, Mapping) else None
