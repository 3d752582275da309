"""Every package that the scaffold writes works as it is: its wheel is found where it is installed, and passes its tests."""

import json
import shutil

import pytest

from jackfield.scaffold.kinds import KINDS

LIGHT = [word for word, kind in KINDS.items() if not kind.needs_cpu]
HEAVY = [word for word, kind in KINDS.items() if kind.needs_cpu]
RUNTIME = ("platforms/torch", "platforms/cpu", "attention_backends/torch_sdpa", "plugins/llama")


@pytest.fixture
def try_wheel(packages, clean_environment):
    """Builds and installs the wheel of a package; its tests run without the sources beside them."""

    def try_wheel(word):
        folder = packages.write(word)
        shutil.move(folder / "tests", packages.folder / "alone" / "tests")
        wheel = "pip wheel -q . --no-deps --no-build-isolation -w dist"
        clean_environment.run(f"{wheel} && pip install -q --no-deps dist/*.whl", folder)
        listed = json.loads(clean_environment.run("jackfield plugins check --json || true"))
        rows = {row["distribution"]: row for row in listed["plugins"]}
        said = clean_environment.run("pytest -q -p no:cacheprovider", packages.folder / "alone")
        return rows["jackfield-acme"], said

    (packages.folder / "alone").mkdir()
    yield try_wheel
    clean_environment.run("pip uninstall -q -y jackfield-acme")


def check_works(word, try_wheel):
    row, said = try_wheel(word)

    kind = KINDS[word].kind
    assert (row["kind"], row["status"], row["version"]) == (kind, "ok", "0.1.0")
    assert f"{kind}:{row['name']} " in said  # the line of its kit; nothing failed, or `run` had


@pytest.mark.core_model
@pytest.mark.parametrize("word", LIGHT)
def test_a_wheel_is_found_and_passes_the_kit_of_its_kind(try_wheel, word):
    check_works(word, try_wheel)


@pytest.mark.cpu_model
@pytest.mark.parametrize("word", HEAVY)
def test_a_wheel_for_tensors_is_found_and_passes_the_kit_of_its_kind(
    clean_environment, try_wheel, word
):
    clean_environment.install(*RUNTIME)

    check_works(word, try_wheel)
