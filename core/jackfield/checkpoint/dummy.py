"""Checkpoints without weights: the shape comes from config.json, the values from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield.checkpoint.generation import FILE as GENERATION
from jackfield.checkpoint.json_file import read_if_there, read_json
from jackfield.decision import Reason
from jackfield.errors import CheckpointError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.weights import Checkpoint, TensorInfo, WeightFormat

CONFIG = "config.json"


class DummyFormat(WeightFormat):
    """For measuring and trying out shapes. Never chosen unless named, since its answers are noise."""

    only_named = True

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse folders without config.json."""
        if need.find(CONFIG):
            return ()
        return (Reason("no_config", f"{need.path} holds no {CONFIG}", "add the model's"),)

    def open(self, files: ModelFiles) -> DummyCheckpoint:
        """Read config.json."""
        return DummyCheckpoint(files)


class DummyCheckpoint(Checkpoint):
    """A config and no tensors."""

    def __init__(self, files: ModelFiles) -> None:
        self._config = read_json(files.path / CONFIG)
        self._generation = read_if_there(files.find(GENERATION))

    @property
    def is_synthetic(self) -> bool:
        """True: the loader makes up the tensors."""
        return True

    @property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json."""
        return self._config

    @property
    def generation(self) -> Mapping[str, Any]:
        """The content of generation_config.json."""
        return self._generation

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Empty: there are no tensors."""
        return {}

    def read(self, name: str) -> memoryview:
        """Raises CheckpointError: there is nothing to read."""
        raise CheckpointError(
            f"tensor {name!r} cannot be read: a dummy checkpoint has none; a loader that sees "
            "is_synthetic makes them up. Choose another weight format for real weights"
        )

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
