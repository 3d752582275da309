"""Bad plugins as installed wheels, one distribution for each fault, all in one folder."""

from __future__ import annotations

import re
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
METADATA = "Metadata-Version: 2.1\nName: bad-{name}\nVersion: 1.2.3\n"
ENTRY_POINT = "[jackfield.{kind}.v1]\n{name} = bad_{name}:Bad\n"
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


def entry_points_of(name: str) -> str:
    """The entry points of a distribution."""
    kinds: tuple[str, ...] = OTHER_KINDS
    if not name.endswith("_everywhere"):
        said = re.search(r"^# kind: (\w+)", (SOURCES / f"{name}.py").read_text(), re.MULTILINE)
        kinds = (said[1] if said else "platforms",)
    return "".join(ENTRY_POINT.format(kind=kind, name=name) for kind in kinds)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them, as pip installs wheels; building them takes twelve seconds."""
    site = tmp_path_factory.mktemp("bad")
    for source in sorted(SOURCES.glob("*.py")):
        name = source.stem
        module, info = site / f"bad_{name}.py", site / f"bad_{name}-1.2.3.dist-info"
        module.write_text(source.read_text())
        info.mkdir()
        (info / "METADATA").write_text(METADATA.format(name=name.replace("_", "-")))
        (info / "entry_points.txt").write_text(entry_points_of(name))
        files = (
            module.name,
            *(f"{info.name}/{file}" for file in ("METADATA", "entry_points.txt", "RECORD")),
        )
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
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
