"""Bad plugins as installed wheels, one distribution for each fault, all in one folder."""

from __future__ import annotations

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
from jackfield.testing.engine import REFERENCE_SETTINGS
from jackfield.testing.models import write_model

SOURCES = (
    Path(__file__).parent / "sources"
)  # MODULE.py is the only module of the distribution bad-MODULE
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "bad-{name}"
version = "1.2.3"
[project.entry-points."jackfield.platforms.v1"]
{name} = "bad_{name}:Bad"
[tool.setuptools]
py-modules = ["bad_{name}"]
"""
TIMEOUT_S = 3.0  # for what hangs; importing a card takes milliseconds


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them installed."""
    folder = tmp_path_factory.mktemp("bad")
    projects = []
    for source in sorted(SOURCES.glob("*.py")):
        project = folder / source.stem
        project.mkdir()
        (project / "pyproject.toml").write_text(PROJECT.format(name=source.stem))
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

    @property
    def settings(self) -> dict[str, Any]:
        return {"plugins.allow": [f"bad-{self.name}"], "plugins.probe_timeout_s": TIMEOUT_S}

    @property
    def registry(self) -> PluginRegistry:
        allow = (f"bad-{self.name}",)
        return PluginRegistry.scan(PluginSettings(allow=allow, probe_timeout_s=TIMEOUT_S))

    def engine(self, **settings: Any) -> LLM:
        """An engine on the reference platform, for which nobody needs the bad plugin."""
        write_model(self.folder)
        return LLM(str(self.folder), settings={**REFERENCE_SETTINGS, **self.settings, **settings})

    def named_engine(self, **settings: Any) -> LLM:
        """One that is told to run on it."""
        return self.engine(**{"select.platform": self.name, **settings})


@pytest.fixture
def install(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Bad]]:
    """Puts the folder on the path and allows one of them; nothing was tried before."""
    monkeypatch.syspath_prepend(str(wheels))
    monkeypatch.setenv("JACKFIELD_CACHE", str(tmp_path / "cache"))
    before = set(sys.modules)
    yield lambda name: Bad(name, tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("bad_"):
            del sys.modules[name]
