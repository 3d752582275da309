"""Distributions that tests install for themselves: real folders with metadata on sys.path."""

import sys
import textwrap
from pathlib import Path

import pytest

from jackfield.config import PluginSettings
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.scan import scan_installed


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
        """A registry of these distributions alone: the first-party ones are denied."""
        deny = (*scan_installed().first_party, *settings.pop("deny", ()))
        return PluginRegistry.scan(PluginSettings(deny=deny, **settings))


@pytest.fixture
def distributions(tmp_path, monkeypatch):
    before = set(sys.modules)
    yield Distributions(tmp_path / "site", monkeypatch)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]
