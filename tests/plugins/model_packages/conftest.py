"""Wheels that tests write, and a folder of them that pip takes for an index."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from jackfield_model_packages.aliases import Package


class WheelFolder:
    """What `pip download` finds, without a network."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(self, name, members, version="1.0"):
        """A wheel with these members; the package that it is, with its digest."""
        stem = f"{name.replace('-', '_')}-{version}"
        wheel = self.path / f"{stem}-py3-none-any.whl"
        info = f"{stem}.dist-info"
        files = {
            **members,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return Package(name, version, hashlib.sha256(wheel.read_bytes()).hexdigest())


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The only place where pip looks."""
    made = WheelFolder(tmp_path / "wheels")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.path))
    return made
