"""A package by others can be copied out of this repository: its own settings and CI hold there."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jackfield_testing.scaffold.kinds import KINDS
from jackfield_testing.scaffold.names import names_of
from jackfield_testing.scaffold.writer import package_files

ROOT = Path(__file__).parents[3]
PACKAGES = sorted(path.parent for path in ROOT.glob("examples/third_party/*/pyproject.toml"))
WRITTEN = {str(path): text for path, text in package_files(KINDS["scheduler"], names_of("acme"))}
CI = ".github/workflows/ci.yml"

pytestmark = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)


@pytest.mark.parametrize("words", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_its_code_is_clean_and_formatted_elsewhere(package, words, tmp_path):
    shutil.copytree(package, tmp_path / "copy")

    done = subprocess.run(
        [sys.executable, "-m", "ruff", *words, "--no-cache"],
        cwd=tmp_path / "copy", capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


def test_its_ci_is_that_of_the_scaffold(package):
    assert (package / CI).read_text() == WRITTEN[CI]


def test_its_settings_for_the_checks_are_those_of_the_scaffold(package):
    tools, written = (
        tomllib.loads(text)["tool"]
        for text in ((package / "pyproject.toml").read_text(), WRITTEN["pyproject.toml"])
    )

    assert {name: tools[name] for name in ("ruff", "mypy")} == {
        name: written[name] for name in ("ruff", "mypy")
    }


def test_it_requires_jackfield_without_an_upper_end(package):
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]

    ranges = {re.sub(r"^[\w\[\]-]+", "", line) for line in lines if line.startswith("jackfield")}

    assert ranges == {">=0.1"}
