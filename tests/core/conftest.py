"""Distributions that tests install for themselves, real folders with metadata on sys.path; and the `jackfield` program."""

import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from jackfield.cli.main import main
from jackfield.config import PluginSettings, load_config
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import scan_installed
from jackfield.engine.blueprint import make_blueprint
from jackfield.environment import jackfield_variables

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


class Distributions:
    """Writes `NAME-VERSION.dist-info` and modules into folders of their own; a later one stands first on the path."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._count = 0

    def add(self, name, entry_points, *, version="1.0", modules=None, metadata=None):
        """Install a distribution. `entry_points` maps groups to names and targets, `modules` names to source."""
        self._count += 1
        folder = self.folder / f"{self._count}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text if metadata is None else metadata)
        lines = []
        for group, targets in entry_points.items():
            lines += [f"[{group}]", *(f"{key} = {target}" for key, target in targets.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(textwrap.dedent(source))
        self._monkeypatch.syspath_prepend(str(folder))
        return folder

    def scan(self, **settings) -> PluginRegistry:
        """A registry of these distributions alone: the first-party ones are denied. They are tried here at once."""
        deny = (*scan_installed().first_party, *settings.pop("deny", ()))
        return PluginRegistry.scan(PluginSettings(deny=deny, **{"probe": "inline", **settings}))


@pytest.fixture
def distributions(tmp_path, monkeypatch):
    before = set(sys.modules)
    yield Distributions(tmp_path / "site", monkeypatch)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


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


@dataclass
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def jackfield(capsys, monkeypatch, tmp_path):
    """Runs the program in this process, with an environment of its own."""
    for name in jackfield_variables():
        monkeypatch.delenv(name)
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))

    def run(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as leaving:  # argparse: --help, --version and wrong usage
            status = leaving.code
        return Done(status, *capsys.readouterr())

    return run
