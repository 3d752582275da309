"""What is written is a whole package, of which nothing is left to fill in."""

import compileall
import tomllib

import pytest

from jackfield.discovery.kinds import CORE_KINDS
from jackfield.errors import ConfigError
from jackfield.scaffold.kinds import KINDS


@pytest.mark.parametrize("word", KINDS)
def test_a_package_has_what_a_distribution_needs(packages, word):
    folder = packages.write(word)

    for name in (
        "pyproject.toml",
        "README.md",
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
            text = file.read_text().replace("${{ matrix.python }}", "")
            assert "$" not in text


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_entry_point_is_of_a_contract_that_is_served(packages, kind):
    project = tomllib.loads((packages.write(kind.word) / "pyproject.toml").read_text())["project"]

    ((group, targets),) = project["entry-points"].items()

    name, _, major = group.rpartition(".v")
    assert group == kind.group
    assert int(major) in CORE_KINDS[name].majors if name in CORE_KINDS else kind.runtime
    assert list(targets) == ["AcmeForCausalLM" if kind.word == "model" else "acme"]


@pytest.mark.parametrize("word", KINDS)
def test_the_code_is_clean_and_formatted(packages, word):
    folder = packages.write(word)
    rules = ["--select", "E,F,W,I,B,UP,SIM,RET,PTH,RUF,C4,PIE", "--ignore", "E501,RET505"]

    for command in (["check", *rules], ["format", "--check"]):
        options = ["--isolated", "--no-cache", "--line-length", "100"]
        done = packages.run(folder, "-m", "ruff", *command, *options, ".")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("word", sorted({kind.word for kind in KINDS.values() if kind.runtime}))
def test_a_package_for_tensors_requires_the_runtime(packages, word):
    project = tomllib.loads((packages.write(word) / "pyproject.toml").read_text())["project"]

    assert [line.partition(">")[0] for line in project["dependencies"]] == [
        "jackfield",
        "jackfield-torch",
    ]


def test_a_folder_that_holds_something_is_not_touched(packages):
    folder = packages.write("hooks")
    (folder / "README.md").write_text("mine")

    with pytest.raises(ConfigError, match="not an empty folder"):
        packages.write("hooks")

    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.slow
def test_the_code_of_every_kind_is_typed(packages):
    for word in KINDS:
        folder = packages.write(word, f"acme_{word.replace('-', '_')}")
        (package,) = (path for path in folder.iterdir() if path.name.startswith("jackfield_"))
        cache = packages.folder / "cache"
        done = packages.run(folder, "-m", "mypy", "--strict", "--cache-dir", cache, package.name)
        assert done.returncode == 0, done.stdout
