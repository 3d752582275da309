"""Every package that the scaffold writes works: it is found where it is installed, and passes its own tests."""

import json

import pytest

from jackfield.scaffold.kinds import KINDS

LIGHT = [word for word, kind in KINDS.items() if not kind.runtime]
HEAVY = [word for word, kind in KINDS.items() if kind.runtime]
ONE_WHEEL = "scheduler"  # for all others a wheel is slow


def check_own_tests(packages, folder, site):
    done = packages.run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", path=[site])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.core_model
@pytest.mark.parametrize("word", LIGHT)
def test_a_package_passes_its_own_tests(packages, word):
    folder = packages.write(word)

    check_own_tests(packages, folder, packages.link(folder))


@pytest.mark.cpu_model
@pytest.mark.parametrize("word", HEAVY)
def test_a_package_for_tensors_passes_its_own_tests(packages, word):
    folder = packages.write(word)

    check_own_tests(packages, folder, packages.link(folder))


@pytest.mark.parametrize(
    "word",
    [ONE_WHEEL, *(pytest.param(w, marks=pytest.mark.slow) for w in KINDS if w != ONE_WHEEL)],
)
def test_a_wheel_is_found_where_it_is_installed_and_passes_its_tests(packages, word):
    folder = packages.write(word)
    site = packages.install_wheel(folder)

    command = ("-m", "jackfield.cli.main", "plugins", "check", "--json")
    listed = packages.run(packages.folder, *command, path=[site])

    rows = {row["distribution"]: row for row in json.loads(listed.stdout)["plugins"]}
    assert (rows["jackfield-acme"]["status"], rows["jackfield-acme"]["version"]) == ("ok", "0.1.0")
    check_own_tests(packages, folder, site)
