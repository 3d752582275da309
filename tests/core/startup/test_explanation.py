"""An explanation is one document, of a plan that stands or of one that does not."""

import json

from jackfield.startup.explanation import FORMAT, explain


def test_an_explanation_is_json_with_the_number_of_its_format(world):
    document = json.loads(json.dumps(explain(world.plan())))

    assert document["format"] == FORMAT
    assert document["problems"] == []


def test_decisions_hold_what_they_were_asked_with(world):
    decisions = explain(world.plan())["decisions"]

    platforms = next(d for d in decisions if d["kind"] == "platforms")
    kernels = [d for d in decisions if d["kind"] == "jackfield_acme.kernels"]
    assert "attention.rope" in platforms["features"]
    assert [d["match"] for d in kernels] == [{"layer": 0}, {"layer": 1}]


def test_the_facts_are_of_every_plugin_with_a_probe_that_was_asked(world):
    facts = explain(world.plan(thorough=True))["facts"]

    assert facts == {"jackfield.platforms:acme@acme": {"cores": 4, "available_bytes": 10_000}}


def test_weights_that_cannot_be_read_are_a_problem(world, monkeypatch):
    blueprint = world.plan()
    (world.folder / "config.json").unlink()

    document = explain(blueprint)

    (problem,) = document["problems"]
    assert document["memory"] is None
    assert problem["error"]
