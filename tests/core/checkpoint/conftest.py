"""Model folders that tests write for themselves, and a hub on this machine."""

import json
from pathlib import Path

import pytest

from jackfield.interfaces.model_source import ModelFiles

CONFIG = {"architectures": ["TinyForCausalLM"], "hidden_size": 4}


class Folder:
    """A folder of a model, and the files that are put into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> ModelFiles:
        return ModelFiles(reference=str(self.path), path=self.path)

    def add_json(self, name, value):
        return self.add(name, json.dumps(value))

    def add(self, name, text):
        target = self.path / name
        target.write_text(text, encoding="utf-8")
        return target


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "model")
    made.path.mkdir()
    made.add_json("config.json", CONFIG)
    return made
