"""Packages that the scaffold wrote, and installs of them that leave this environment alone."""

import os
import subprocess
import sys
import tomllib

import pytest

from jackfield.environment import jackfield_variables
from jackfield.scaffold.kinds import KINDS
from jackfield.scaffold.names import names_of
from jackfield.scaffold.writer import write_package


class Packages:
    def __init__(self, folder):
        self.folder = folder

    def write(self, word, name="acme"):
        """Write a package of a kind; returns its folder."""
        folder = self.folder / word
        write_package(KINDS[word], names_of(name, is_model=word == "model"), folder)
        return folder

    def link(self, folder):
        """Put metadata beside the package, as an editable install does; returns what belongs on the path."""
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head)
        lines = [
            line
            for group, targets in project["entry-points"].items()
            for line in (f"[{group}]", *(f"{name} = {target}" for name, target in targets.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        return folder

    def install_wheel(self, folder):
        """Build a wheel and install it into a folder of its own; returns what belongs on the path."""
        site = self.folder / "site"
        options = ("-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        done = self.run(folder, "-m", "pip", "install", *options, "--target", site, ".")
        assert done.returncode == 0, done.stderr
        return site

    def run(self, folder, *command, path=()):
        """Run Python in `folder` with more folders on the path, and nothing of ours in the environment."""
        ours = jackfield_variables()
        environ = {name: value for name, value in os.environ.items() if name not in ours}
        environ["PYTHONPATH"] = os.pathsep.join(map(str, path))
        words = [sys.executable, *map(str, command)]
        return subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )


@pytest.fixture
def packages(tmp_path):
    return Packages(tmp_path)
