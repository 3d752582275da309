"""Every package that the scaffold writes works as it is: its wheel, where nothing is but what it declares, passes its tests.

So do the examples of its README.
"""

import json
import re
import shutil

import pytest

from jackfield_testing.scaffold.kinds import KINDS

LIGHT = [word for word, kind in KINDS.items() if not kind.needs_cpu]
HEAVY = [word for word, kind in KINDS.items() if kind.needs_cpu]
MAY_SKIP = {  # of a kind: what the template does not claim, in the words of its kit
    "model-source": [
        r"the sample has no model that .*",
        r"the sample has no revisions",
        r"fetches nothing: .*",
    ],
    "tokenizer": [r"this tokenizer has no chat template.*"],
    "executor": [r"its worker runs in the process of the engine", r"does not serve .*"],
    "attention-backend": [
        r"does not serve .*",
        r"claims 'none'",
        r"needs exact lengths on the host",
        r".* reads no layout with .* in float8_e4m3; .*",
    ],
    "quantization": [r"can_fuse says no", r"rounds weights that are stored plainly"],
    "logits-processor": [r"the kit of this kind has no needs to ask for"],
}


@pytest.fixture
def try_wheel(packages, make_clean_environment, tmp_path):
    """Installs the wheel of a package, and runs its tests without the sources beside them; returns what was seen."""

    def try_wheel(word):
        folder = packages.write(word)
        environment = make_clean_environment()
        environment.install(folder)
        listed = json.loads(environment.run("jackfield plugins check --json || true"))
        alone = tmp_path / "alone"
        shutil.move(folder / "tests", alone / "tests")
        environment.run("pytest -q -p no:cacheprovider --jackfield-report report.json", alone)
        (kit,) = json.loads((alone / "report.json").read_text())["plugins"]
        said = environment.run(example_of(folder / "README.md"), tmp_path)
        (row,) = (row for row in listed["plugins"] if row["distribution"] == "jackfield-acme")
        return row, kit, said

    return try_wheel


def example_of(readme):
    """The shell commands under Example."""
    part = readme.read_text().partition("## Example")[2].partition("## Limits")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", part, re.DOTALL))


def check_works(word, try_wheel):
    row, kit, said = try_wheel(word)

    kind = KINDS[word].kind
    assert (row["kind"], row["status"], row["version"]) == (kind, "ok", "0.1.0")
    assert (kit["kind"], kit["distribution"]) == (kind, "jackfield-acme")
    assert (kit["counts"]["xfailed"], kit["counts"]["failed"]) == (0, 0)
    reasons = {test["reason"] for test in kit["tests"] if test["outcome"] == "skipped"}
    allowed = "|".join(MAY_SKIP.get(word, ["(?!)"]))
    assert {reason for reason in reasons if not re.fullmatch(allowed, reason)} == set()
    for promised in {"hooks": ["acme: 1 requests"], "executor": ["ms each"]}.get(word, [""]):
        assert promised in said


@pytest.mark.core_model
@pytest.mark.parametrize("word", LIGHT)
def test_a_wheel_passes_the_kit_of_its_kind_and_does_what_its_readme_says(try_wheel, word):
    check_works(word, try_wheel)


@pytest.mark.cpu_model
@pytest.mark.timeout(900)  # a whole kit, on a machine that may be busy
@pytest.mark.parametrize("word", HEAVY)
def test_a_wheel_for_tensors_passes_the_kit_of_its_kind_and_does_what_its_readme_says(
    try_wheel, word
):
    check_works(word, try_wheel)


@pytest.mark.core_model
@pytest.mark.parametrize("library", ["hypothesis", "torch", "jackfield_torch"])
def test_an_import_that_is_not_declared_fails(packages, make_clean_environment, library):
    """All of these are installed where the tests run."""
    folder = packages.write("scheduler")
    module = folder / "jackfield_acme" / "policy.py"
    source = module.read_text()
    module.write_text(source.replace("from jackfield", f"import {library}\nfrom jackfield", 1))
    environment = make_clean_environment()

    environment.install(folder)

    assert f"No module named '{library}'" in environment.run("jackfield plugins check || true")


@pytest.mark.core_model
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"pytest>=8"', '"pytest>=8", "no-such-distribution"', "no-such-distribution is not"),
        ('["jackfield>=0.1"]', '["jackfield>=99"]', "jackfield>=99 is required"),
        ('["jackfield>=0.1"]', '["jackfield[gpu]"]', "jackfield has no extra gpu"),
        ('["jackfield>=0.1"]', '["jackfield", "jackfield-none"]', "jackfield-none is no member"),
    ],
)
def test_a_requirement_that_cannot_be_had_fails(packages, make_clean_environment, old, new, said):
    folder = packages.write("scheduler")
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace(old, new))

    with pytest.raises(LookupError, match=re.escape(said)):
        make_clean_environment().install(folder)
