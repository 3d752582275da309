"""`jackfield explain` answers for machines that are not here, and compares two answers."""

import json

import pytest

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

    def explain(name, *more):
        done = jackfield("explain", folder, "--json", *words, *more)
        assert done.status == 0, done.err
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

    assert (here["profile"], here["facts"]["cores"]) == (None, 4)
    assert (there["profile"], there["facts"]["cores"]) == ("large", 96)
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
    assert "different choices: 0, decisions: 0, values: 0" in done.out


def test_differences_are_printed_with_what_made_them(jackfield, explain):
    before = explain("a")
    after = explain("b", "--set", "select.kernel=fast", "--set", "scheduler.max_rows=7")

    done = jackfield("explain", "--diff", before, after)

    assert done.status == 1
    assert "jackfield_acme.kernels for layer 0: slow -> fast" in done.out
    assert "-> command line: select.kernel" in done.out
    assert "setting scheduler.max_rows: 4 (default of platform acme) -> 7 (command" in done.out
    assert done.out.endswith("different choices: 2, decisions: 2, values: 2\n")


def test_differences_are_data_too(jackfield, explain):
    before, after = explain("a"), explain("b", "--set", "select.kernel=fast")

    report = json.loads(jackfield("explain", "--json", "--diff", before, after).out)

    assert [change["subject"] for change in report["decisions"]] == ["layer 0", "layer 1"]
    assert all(change["is_other_choice"] for change in report["decisions"])
    assert [value["name"] for value in report["values"]] == ["setting select.kernel"]


@pytest.mark.parametrize("text", ["{", "{}", '{"decisions": [{}]}', '{"decisions": 3}'])
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
