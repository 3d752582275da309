"""A world of plugins of a made-up vendor, and a small hub."""

import json
from pathlib import Path

import pytest

from jackfield.config import load_config
from jackfield.startup.blueprint import make_blueprint
from jackfield_testing.hub import hub_server

WORLD = Path(__file__).with_name("acme_world.py")
WORLD_GROUPS = {
    "jackfield.model_sources.v1": {"folder": "Folder"},
    "jackfield.weight_formats.v1": {"config_only": "ConfigOnly"},
    "jackfield.models.v1": {"TinyForCausalLM": "tiny"},
    "jackfield.tokenizers.v1": {"words": "Words"},
    "jackfield.platforms.v1": {"acme": "Acme", "host": "Host"},
    "jackfield.executors.v1": {"alone": "Alone", "many": "Many"},
    "jackfield.schedulers.v1": {"plain": "Policy", "urgent": "Policy"},
    "jackfield.hooks.v1": {"watcher": "Watcher"},
    "jackfield_acme.kernels.v1": {"fast": "Kernel", "slow": "Kernel"},
}


class World:
    """`plan` makes the blueprint of a tiny model in a folder, of the plugins of the world alone."""

    def __init__(self, distributions, folder):
        groups = {
            group: {name: f"{WORLD.stem}:{target}" for name, target in targets.items()}
            for group, targets in WORLD_GROUPS.items()
        }
        distributions.add("acme", groups, modules={WORLD.stem: WORLD.read_text()})
        self.distributions = distributions
        self.folder = folder / "model"
        self.folder.mkdir()

    def write_model(self, *, words=True, **config):
        values = {"architectures": ["TinyForCausalLM"], "max_position_embeddings": 64, **config}
        (self.folder / "config.json").write_text(json.dumps(values))
        if words:
            (self.folder / "words.txt").touch()
        return self.folder

    def plan(self, settings=None, *, thorough=False, words=True, plugins=None, **config):
        folder = self.write_model(words=words, **config)
        loaded = load_config(environ={}, code={"model.reference": str(folder), **(settings or {})})
        return make_blueprint(loaded, self.distributions.scan(**(plugins or {})), thorough=thorough)


@pytest.fixture
def world(distributions, tmp_path):
    return World(distributions, tmp_path)


@pytest.fixture
def hub():
    """A small server that answers like a hub. Of `acme/cut` no file comes whole."""
    with hub_server() as server:
        yield server
