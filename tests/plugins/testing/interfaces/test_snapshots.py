"""Snapshots are compared with the sources of installed packages, contract by contract."""

import subprocess
import sys

import pytest

from jackfield.errors import ConfigError
from jackfield_testing.interfaces.snapshots import (
    compare,
    read_snapshots,
    read_sources,
    write_snapshots,
)

CODEC = """
from abc import ABC, abstractmethod
from acme.shapes import Frame
class Codec(ABC):
    @abstractmethod
    def encode(self, frame: Frame) -> bytes: ...
"""
SHAPES = "class Frame:\n    size: int = 0\n"
MANIFEST = """
[acme]
public = ["interfaces.*", "shapes", "alone"]
[acme.contracts]
"acme.codecs.v1" = ["interfaces.codec"]
"""


class Package:
    """An installed package with one contract, and the folder of its snapshots."""

    def __init__(self, folder):
        self.source = folder / "site" / "acme"
        self.snapshots = folder / "snapshots"
        (self.source / "interfaces").mkdir(parents=True)
        self.snapshots.mkdir()
        (self.source / "__init__.py").write_text("raise AssertionError('it was imported')")
        self.write("interfaces/codec.py", CODEC)
        self.write("shapes.py", SHAPES)
        self.write("alone.py", "def helper() -> None: ...\n")
        self.manifest(MANIFEST)
        write_snapshots(self.snapshots, self.sources())

    def write(self, name, text):
        (self.source / name).write_text(text)

    def manifest(self, text):
        (self.snapshots / "contracts.toml").write_text(text)

    def sources(self):
        return read_sources(self.snapshots)

    def report(self):
        return compare(read_snapshots(self.snapshots), self.sources())

    def run(self, *words):
        command = [sys.executable, "-m", "jackfield_testing.interfaces", *words]
        command += ["--folder", str(self.snapshots)]
        environ = {"PYTHONPATH": str(self.source.parent)}
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Package(tmp_path)


def test_what_was_written_is_what_the_sources_say(package):
    assert package.report().is_clean
    assert str(package.report()) == ""


def test_a_module_is_part_of_the_contract_whose_signatures_reach_it(package):
    contracts = {name: snapshot.contracts for name, snapshot in package.sources().items()}

    assert contracts == {
        "acme.interfaces.codec": ("acme.codecs.v1",),
        "acme.shapes": ("acme.codecs.v1",),
        "acme.alone": ("acme 0.0",),
    }


def test_an_addition_only_makes_the_snapshot_stale(package):
    package.write("shapes.py", SHAPES + "    depth: int = 1\n")

    report = package.report()

    assert (report.breaking, report.stale) == ((), ("acme.shapes",))


def test_a_break_of_a_contract_that_is_served_is_refused(package):
    package.write("shapes.py", SHAPES.replace("size", "length"))

    assert [change.place for change in package.report().breaking] == ["acme.shapes.Frame.size"]


def test_a_module_that_is_gone_breaks(package):
    (package.source / "shapes.py").unlink()
    package.manifest(MANIFEST.replace('"shapes", ', ""))

    assert [change.place for change in package.report().breaking] == ["acme.shapes.Frame"]


def test_a_break_is_allowed_once_the_contract_is_served_no_more(package):
    package.write("shapes.py", SHAPES.replace("size", "length"))
    package.manifest(MANIFEST.replace("codecs.v1", "codecs.v2"))

    report = package.report()

    assert report.breaking == ()
    assert [change.breaks for change in report.others] == [True, False]


def test_a_new_major_beside_the_old_one_does_not_allow_to_break_it(package):
    package.write("shapes.py", SHAPES.replace("size", "length"))
    package.manifest(MANIFEST + '"acme.codecs.v2" = ["interfaces.codec"]\n')

    assert package.report().breaking


def test_the_command_fails_on_what_is_stale_and_writes_it(package):
    package.write("shapes.py", SHAPES + "    depth: int = 1\n")

    assert package.run().returncode == 1
    assert package.run("--write").returncode == 0
    assert package.run().returncode == 0


def test_the_command_refuses_to_write_what_breaks(package):
    package.write("shapes.py", SHAPES.replace("size", "length"))

    done = package.run("--write")

    assert done.returncode == 1
    assert "BREAKS  acme.shapes.Frame.size: is gone" in done.stdout
    assert "needs a new major" in done.stdout
    assert package.run("--write", "--break").returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot read"),
        (MANIFEST.replace('"shapes"', '"shape"'), "public module 'shape'"),
        (MANIFEST.replace('["interfaces.codec"]', '["codec"]'), "acme.codec"),
        (MANIFEST.replace("acme", "acme_gone"), "'acme_gone', which is not installed"),
    ],
)
def test_a_manifest_that_names_what_is_not_there_is_an_error(package, text, message):
    package.manifest(text)

    with pytest.raises(ConfigError, match=message):
        package.sources()
