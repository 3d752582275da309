"""Bad plugins as installed wheels, one distribution for each fault, all in one folder."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jackfield import LLM
from jackfield.config.schema import PluginSettings
from jackfield.discovery.registry import PluginRegistry
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

SOURCES = (
    Path(__file__).parent / "sources"
)  # MODULE.py is the only module of the distribution bad-MODULE, a platform unless it says `# kind: KIND`
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "bad-{name}"
version = "1.2.3"
{entry_points}
[tool.setuptools]
py-modules = ["bad_{name}"]
"""
ENTRY_POINT = """[project.entry-points."jackfield.{kind}.v1"]
{name} = "bad_{name}:Bad"
"""
# The effect of a fault at import depends on no kind, so each of these modules is a plugin of all kinds.
OTHER_KINDS = (
    "commands",
    "executors",
    "hooks",
    "models",
    "schedulers",
    "tokenizers",
    "weight_formats",
)
TIMEOUT_S = 2.0  # for what hangs; importing a card takes milliseconds


def project_of(name: str) -> str:
    """The metadata of a distribution."""
    kinds: tuple[str, ...] = OTHER_KINDS
    if not name.endswith("_everywhere"):
        said = re.search(r"^# kind: (\w+)", (SOURCES / f"{name}.py").read_text(), re.MULTILINE)
        kinds = (said[1] if said else "platforms",)
    entry_points = "".join(ENTRY_POINT.format(kind=kind, name=name) for kind in kinds)
    return PROJECT.format(name=name, entry_points=entry_points)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them installed."""
    folder = tmp_path_factory.mktemp("bad")
    projects = []
    for source in sorted(SOURCES.glob("*.py")):
        project = folder / source.stem
        project.mkdir()
        (project / "pyproject.toml").write_text(project_of(source.stem))
        (project / f"bad_{source.stem}.py").write_text(source.read_text())
        projects.append(str(project))
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *options, "-w", str(folder / "wheels"), *projects], check=True)
    built = [str(wheel) for wheel in (folder / "wheels").glob("*.whl")]
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), *built], check=True)
    return site


@dataclass
class Bad:
    """One bad plugin, installed and allowed beside the first-party ones."""

    name: str
    folder: Path  # for models
    others: tuple[str, ...] = ()  # bad plugins that are allowed too

    @property
    def plugins(self) -> dict[str, Any]:
        allow = tuple(f"bad-{name.replace('_', '-')}" for name in (self.name, *self.others))
        return {
            "allow": allow,
            "import_timeout_s": TIMEOUT_S,
            "probe_timeout_s": TIMEOUT_S,
        }

    @property
    def settings(self) -> dict[str, Any]:
        return {f"plugins.{name}": value for name, value in self.plugins.items()}

    @property
    def command_line(self) -> list[str]:
        """The same settings for the `jackfield` program."""
        words = [f"plugins.allow={','.join(self.plugins['allow'])}"]
        words += [f"plugins.{verb}_timeout_s={TIMEOUT_S}" for verb in ("import", "probe")]
        return [word for setting in words for word in ("--set", setting)]

    @property
    def registry(self) -> PluginRegistry:
        return PluginRegistry.scan(PluginSettings(**self.plugins))

    def engine(self, **settings: Any) -> LLM:
        """An engine on the reference platform, for which nobody needs the bad plugin."""
        write_model(self.folder)
        return LLM(str(self.folder), settings={**REFERENCE_SETTINGS, **self.settings, **settings})

    def choosing_engine(self) -> LLM:
        """One that chooses its platform itself among those that are allowed."""
        write_model(self.folder)
        chosen = {
            name: word for name, word in REFERENCE_SETTINGS.items() if name != "select.platform"
        }
        return LLM(str(self.folder), settings={**chosen, **self.settings})

    def named_engine(self, **settings: Any) -> LLM:
        """One that is told to run on it."""
        return self.engine(**{"select.platform": self.name, **settings})


@pytest.fixture
def install(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bad]]:
    """Puts the folder on the path and allows one of them; nothing was tried before."""
    monkeypatch.syspath_prepend(str(wheels))
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    before = set(sys.modules)
    yield lambda name, *others: Bad(name, tmp_path, others)
    for name in set(sys.modules) - before:
        if name.startswith("bad_"):
            del sys.modules[name]
