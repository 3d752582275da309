"""Reads the facts of an adapter's folder, in the layout of PEFT. The weights stay on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from jackfield.checkpoint.json_file import read_json
from jackfield.checkpoint.mapped_file import MappedFile
from jackfield.checkpoint.safetensors_header import parse_header
from jackfield.errors import ModelNotFound
from jackfield.interfaces.adapters import AdapterFiles

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def read_adapters(adapters: Mapping[str, str]) -> tuple[AdapterFiles, ...]:
    """The adapters of a config. Raises ModelNotFound or CheckpointError."""
    return tuple(read_adapter(name, path) for name, path in adapters.items())


def read_adapter(name: str, path: str) -> AdapterFiles:
    """The facts of one adapter. Raises ModelNotFound if its folder lacks a file, CheckpointError if one is broken."""
    folder = Path(path).expanduser()
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ModelNotFound(
                f"the adapter {name!r} needs {CONFIG} and {WEIGHTS}; {folder} has no {file}. Name the folder that "
                "save_pretrained of PEFT wrote"
            )
    weights = MappedFile(folder / WEIGHTS)
    try:
        shapes = {
            tensor: stored.shape
            for tensor, stored in parse_header(weights.path, weights.view).items()
        }
    finally:
        weights.close()
    return AdapterFiles(
        name=name,
        path=str(folder),
        settings=read_json(folder / CONFIG),
        shapes=shapes,
        weights=str(folder / WEIGHTS),
    )


def digest_of(adapter: AdapterFiles) -> str:
    """A text that is the same for adapters with equal files, in any process."""
    whole = hashlib.sha256()
    for file in (CONFIG, WEIGHTS):
        with (Path(adapter.path) / file).open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()
