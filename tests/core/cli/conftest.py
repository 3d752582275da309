"""Running the `jackfield` program in this process, with an environment of its own."""

from dataclasses import dataclass

import pytest

from jackfield.cli.main import main
from jackfield.environment import jackfield_variables


@dataclass
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def jackfield(capsys, monkeypatch, tmp_path):
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
