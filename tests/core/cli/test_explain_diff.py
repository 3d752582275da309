"""`jackfield explain` answers for machines that are not here, and compares two answers."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("probe_inline")

KEY = "jackfield.platforms:acme@acme"


@pytest.fixture
def explain(jackfield, world, tmp_path):
    """Save the explanation of the model of the world; returns its file."""
    folder = world.write_model()
    # what the world has under a name that a first-party distribution also has
    chosen = {
        "model_source": "folder",
        "weight_format": "config_only",
        "tokenizer": "words",
        "executor": "alone",
        "scheduler": "plain",
    }
    words = [word for key, name in chosen.items() for word in ("--set", f"select.{key}={name}")]

    def explain(name, *more, status=0):
        done = jackfield("explain", folder, "--json", *words, *more)
        assert done.status == status, done.err
        file = tmp_path / f"{name}.json"
        file.write_text(done.out)
        return file

    return explain


@pytest.fixture
def profile(tmp_path):
    file = tmp_path / "large.json"
    facts = {KEY: {"cores": 96}}
    file.write_text(json.dumps({"format": 1, "machine": {}, "facts": facts}))
    return file


def test_a_profile_decides_instead_of_this_machine(explain, profile):
    here, there = (
        json.loads(explain("a", *more).read_text()) for more in ((), ("--profile", profile))
    )

    assert (here["profile"], here["facts"][KEY]["cores"]) == (None, 4)
    assert (there["profile"], there["facts"][KEY]["cores"]) == ("large", 96)
    rows = {setting["key"]: setting["value"] for setting in there["settings"]}
    assert rows["scheduler.max_rows"] == 96


def test_a_saved_profile_gives_the_same_explanation_as_the_machine(jackfield, explain, tmp_path):
    file = tmp_path / "saved.json"
    jackfield("doctor", "--save-profile", file)

    before, after = explain("here"), explain("there", "--profile", file)

    assert jackfield("explain", "--diff", before, after).status == 0


def test_equal_explanations_have_no_differences(jackfield, explain):
    file = explain("a")

    done = jackfield("explain", "--diff", file, file)

    assert done.status == 0
    assert "different choices: 0, decisions: 0, versions: 0, values: 0" in done.out


def test_differences_are_printed_with_what_made_them(jackfield, explain):
    before = explain("a")
    after = explain("b", "--set", "select.kernel=fast", "--set", "scheduler.max_rows=7")

    done = jackfield("explain", "--diff", before, after)

    assert done.status == 1
    assert "jackfield_acme.kernels for layer 0: slow -> fast" in done.out
    assert "-> command line: select.kernel" in done.out
    assert "setting scheduler.max_rows: 4 (default of platform acme) -> 7 (command" in done.out
    assert done.out.endswith("different choices: 2, decisions: 2, versions: 0, values: 2\n")


def test_differences_are_data_too(jackfield, explain):
    before, after = explain("a"), explain("b", "--set", "select.kernel=fast")

    report = json.loads(jackfield("explain", "--json", "--diff", before, after).out)

    assert [change["subject"] for change in report["decisions"]] == ["layer 0", "layer 1"]
    assert all(change["is_other_choice"] for change in report["decisions"])
    assert [value["name"] for value in report["values"]] == ["setting select.kernel"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"format": 2, "decisions": []}',
        '{"format": 1, "decisions": [{}]}',
        '{"format": 1, "decisions": 3}',
    ],
)
def test_what_is_no_explanation_is_an_error_with_the_way_out(jackfield, tmp_path, text):
    file = tmp_path / "broken.json"
    file.write_text(text)

    done = jackfield("explain", "--diff", file, file)

    assert done.status == 2
    assert f"cannot read the explanation {file}" in done.err
    assert "jackfield explain MODEL --json > FILE" in done.err


def test_without_a_model_there_is_nothing_to_explain(jackfield):
    done = jackfield("explain")

    assert done.status == 2
    assert "no model was named" in done.err


def test_an_unknown_format_is_refused_with_the_one_that_is_read(jackfield, tmp_path):
    file = tmp_path / "new.json"
    file.write_text('{"format": 2, "decisions": []}')

    assert "format is 2, this jackfield reads 1" in jackfield("explain", "--diff", file, file).err


def test_a_model_beside_a_comparison_is_refused(jackfield, explain):
    file = explain("a")

    done = jackfield("explain", "smollm2", "--diff", file, file)

    assert done.status == 2
    assert "leave out model 'smollm2'" in done.err


def test_facts_of_the_machine_are_compared_but_for_passing_ones(jackfield, explain):
    file = explain("a")
    document = json.loads(file.read_text())
    document["facts"][KEY] |= {"cores": 5, "available_bytes": 1}
    other = file.with_name("b.json")
    other.write_text(json.dumps(document))

    done = jackfield("explain", "--diff", file, other)

    assert f"fact {KEY} cores: 4 -> 5" in done.out
    assert done.out.endswith("versions: 0, values: 1\n")


def test_a_setting_of_the_same_value_from_elsewhere_is_no_difference(jackfield, explain):
    before, after = explain("a"), explain("b", "--set", "scheduler.max_rows=4")

    assert jackfield("explain", "--diff", before, after).status == 0


def test_an_explanation_with_problems_is_compared_too(jackfield, explain):
    before = explain("a")
    after = explain("b", "--set", "model.dtype=float64", "--platform", "acme", status=2)

    done = jackfield("explain", "--diff", before, after)

    assert "platforms for engine: acme -> none" in done.out
    assert "problem 1: not there -> platforms for engine: " in done.out


def test_what_the_profile_knows_and_this_machine_has_not_is_noted(
    jackfield, explain, profile, tmp_path
):
    document = json.loads(profile.read_text())
    document["facts"]["jackfield.platforms:gpu@jackfield-gpu"] = {}
    profile.write_text(json.dumps(document))

    report = json.loads(explain("a", "--profile", profile).read_text())

    (note,) = report["notes"]
    assert (note["code"], note["remedy"]) == ("not_installed", "pip install jackfield-gpu")


def test_notes_are_printed(jackfield, world, profile):
    document = json.loads(profile.read_text())
    document["versions"] = {KEY: "0.9"}
    profile.write_text(json.dumps(document))

    done = jackfield("explain", world.write_model(), "--profile", profile)

    assert "notes:\n- the facts of acme (platforms) were found by acme 0.9, here is 1.0" in done.out
