"""What is written is a whole package, of which nothing is left to fill in."""

import compileall
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from jackfield.discovery.kinds import CORE_KINDS
from jackfield.errors import ConfigError
from jackfield_testing.scaffold.kinds import KINDS

NAMES = ["acme", "an_extremely_long_name_of_some"]
CACHE = Path(__file__).parents[3] / "build" / "mypy_of_scaffold"  # kept: torch takes long to read


@pytest.mark.parametrize("word", KINDS)
def test_a_package_has_what_a_distribution_needs(packages, word):
    folder = packages.write(word)

    for name in (
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/ci.yml",
        "jackfield_acme/__init__.py",
        "jackfield_acme/py.typed",
    ):
        assert (folder / name).is_file()
    assert list(folder.glob("tests/test_*.py"))
    assert compileall.compile_dir(folder, quiet=1)


@pytest.mark.parametrize("word", KINDS)
def test_nothing_is_left_to_fill_in(packages, word):
    for file in packages.write(word).rglob("*"):
        if file.is_file():
            assert not re.search(r"\$\{?\w", file.read_text()), file


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_entry_point_is_of_a_contract_that_is_served(packages, kind):
    project = tomllib.loads((packages.write(kind.word) / "pyproject.toml").read_text())["project"]

    ((group, targets),) = project["entry-points"].items()

    name, _, major = group.rpartition(".v")
    assert group == kind.group
    assert int(major) in CORE_KINDS[name].majors if name in CORE_KINDS else kind.runtime
    assert list(targets) == ["AcmeForCausalLM" if kind.word == "model" else "acme"]


@pytest.mark.parametrize("name", NAMES, ids=len)
@pytest.mark.parametrize("word", KINDS)
def test_the_code_is_clean_and_formatted(packages, word, name):
    folder = packages.write(word, name)

    for command in (["check"], ["format", "--check"]):
        done = packages.run(folder, "-m", "ruff", *command, "--no-cache")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("word", sorted({kind.word for kind in KINDS.values() if kind.runtime}))
def test_a_package_for_tensors_requires_the_runtime(packages, word):
    project = tomllib.loads((packages.write(word) / "pyproject.toml").read_text())["project"]

    assert [line.partition(">")[0] for line in project["dependencies"]] == [
        "jackfield",
        "jackfield-torch",
    ]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_what_stands_beyond_contracts_names_an_upper_end(packages, kind):
    project = tomllib.loads((packages.write(kind.word) / "pyproject.toml").read_text())["project"]

    assert all(("<" in line) == kind.beyond_contracts for line in project["dependencies"])


def test_a_folder_that_holds_something_is_not_touched(packages):
    folder = packages.write("hooks")
    (folder / "README.md").write_text("mine")

    with pytest.raises(ConfigError, match="not an empty folder"):
        packages.write("hooks")

    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.thorough
def test_the_code_of_every_kind_is_typed(packages):
    """All packages as one, with the settings that each of them has: the libraries are read once."""
    whole = packages.folder / "whole"
    for word in KINDS:
        folder = packages.write(word, f"acme-{word}")
        (package,) = folder.glob("jackfield_*")
        shutil.copytree(package, whole / package.name)
        shutil.copytree(folder / "tests", whole / "tests" / package.name)
    shutil.copy(folder / "pyproject.toml", whole)

    done = packages.run(whole, "-m", "mypy", "--strict", "--cache-dir", CACHE, ".")

    assert done.returncode == 0, done.stdout
