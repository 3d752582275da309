"""Packages that the scaffold wrote."""

import os
import subprocess
import sys

import pytest

from jackfield.environment import jackfield_variables
from jackfield_testing.scaffold.kinds import KINDS
from jackfield_testing.scaffold.names import names_of
from jackfield_testing.scaffold.writer import write_package


class Packages:
    def __init__(self, folder):
        self.folder = folder

    def write(self, word, name="acme"):
        """Write a package of a kind; returns its folder."""
        folder = self.folder / word
        write_package(KINDS[word], names_of(name, is_model=word == "model"), folder)
        return folder

    def run(self, folder, *command):
        """Run Python in `folder`, with nothing of ours in the environment."""
        ours = jackfield_variables()
        environ = {name: value for name, value in os.environ.items() if name not in ours}
        words = [sys.executable, *map(str, command)]
        return subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )


@pytest.fixture
def packages(tmp_path):
    return Packages(tmp_path)
