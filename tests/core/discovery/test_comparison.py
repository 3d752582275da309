"""Two explanations are compared decision by decision, and candidate by candidate."""

import json
from dataclasses import asdict, replace

import pytest

from jackfield.decision import Candidate, Decision, Reason, Verdict, decision_of
from jackfield.discovery.comparison import compare, version_changes

CPU = Candidate(name="cpu", distribution="acme", version="1.0", verdict=Verdict.CHOSEN)
GPU = Candidate(
    name="gpu",
    distribution="other",
    version="2.0",
    verdict=Verdict.REFUSED,
    reasons=(Reason("dtype", "no float64 here", "set another"),),
)
DECISION = Decision(
    kind="platforms", subject="engine", chosen="cpu", decided_by="name", candidates=(GPU, CPU)
)


def report(after, before=DECISION):
    (change,) = compare([before], [after])
    return change.report().splitlines()


def test_equal_decisions_are_no_difference():
    assert compare([DECISION], [replace(DECISION)]) == ()


def test_a_decision_survives_json():
    assert decision_of(json.loads(json.dumps(asdict(DECISION)))) == DECISION


def test_another_choice_is_told_first():
    after = replace(
        DECISION,
        chosen="gpu",
        candidates=(replace(GPU, verdict=Verdict.CHOSEN, reasons=()), CPU),
    )

    assert report(after) == [
        "platforms for engine: cpu -> gpu",
        "  ~ gpu [other 2.0] refused -> chosen",
        "      - no float64 here; set another",
    ]


@pytest.mark.parametrize(
    ("candidates", "lines"),
    [
        ((CPU,), ["  - gpu [other 2.0] is no candidate any more"]),
        (
            (GPU, CPU, replace(CPU, name="npu", verdict=Verdict.ACCEPTED)),
            ["  + npu [acme 1.0] accepted"],
        ),
        (
            (replace(GPU, reasons=(Reason("ranks", "one rank only"),)), CPU),
            [
                "  ~ gpu [other 2.0] refused",
                "      - no float64 here; set another",
                "      + one rank only",
            ],
        ),
    ],
)
def test_candidates_that_came_went_or_changed_are_told(candidates, lines):
    assert report(replace(DECISION, candidates=candidates)) == [
        "platforms for engine: cpu, as before",
        *lines,
    ]


def test_another_ground_for_the_same_choice_is_told():
    after = replace(DECISION, decided_by="select.platform (code)")

    assert report(after)[1:] == ["  decided by: name -> select.platform (code)"]
    assert not compare([DECISION], [after])[0].is_other_choice


def test_decisions_that_came_or_went_are_told():
    other = replace(DECISION, subject="layers 0-3")

    gone, came = compare([DECISION], [other])

    assert gone.report().startswith("platforms for engine: cpu -> not asked")
    assert came.report().startswith("platforms for layers 0-3: not asked -> cpu")
    assert gone.is_other_choice
    assert came.is_other_choice


def test_another_version_alone_is_told_once_for_each_distribution():
    layers = replace(DECISION, subject="layers 0-3", candidates=(replace(CPU, name="other"),))
    later = [
        replace(d, candidates=tuple(replace(c, version="3.0") for c in d.candidates))
        for d in (DECISION, layers)
    ]

    assert compare([DECISION, layers], later) == ()
    assert version_changes([DECISION, layers], later) == [
        ("other", "2.0", "3.0"),
        ("acme", "1.0", "3.0"),
    ]


def test_a_candidate_that_was_not_asked_in_one_of_them_is_no_difference():
    unasked = replace(GPU, verdict=Verdict.NOT_ASKED, reasons=(Reason("not_asked", "later"),))

    assert compare([DECISION], [replace(DECISION, candidates=(unasked, CPU))]) == ()


def test_a_choice_of_another_distribution_is_another_choice():
    after = replace(DECISION, candidates=(GPU, replace(CPU, distribution="fork")))

    (change,) = compare([DECISION], [after])

    assert change.is_other_choice
    assert change.report().startswith("platforms for engine: cpu of acme -> cpu of fork")


LAYERS = replace(
    DECISION, subject="layers 0-3", covers=tuple(f"layers.{index}" for index in range(4))
)


def split(**changes):
    """The layers in two: what holds for layer 2 alone, and the others."""
    alone = replace(LAYERS, subject="layer 2", covers=("layers.2",), **changes)
    others = replace(LAYERS, subject="layers 0-1, 3", covers=("layers.0", "layers.1", "layers.3"))
    return alone, others


def test_a_rule_that_changes_nothing_is_no_difference():
    assert compare([LAYERS], split()) == ()


def test_a_rule_is_compared_where_it_holds():
    changed = split(chosen="gpu", candidates=(replace(GPU, verdict=Verdict.CHOSEN),))

    (change,) = compare([LAYERS], changed)

    assert (change.subject, change.is_other_choice) == ("layer 2", True)


def test_parts_that_are_no_subject_by_themselves_are_told_in_ranges():
    covers = [f"layers.{index}.mixer.q" for index in (0, 1, 2, 5)] + ["head"]
    before = replace(LAYERS, covers=(*covers, "layers.9.mixer.q"))
    after = replace(LAYERS, covers=(*covers, "layers.7.mixer.q"), decided_by="code")

    changes = compare([before], [after])

    assert [change.subject for change in changes] == [
        "layers.0-2,5.mixer.q, head",
        "layers.9.mixer.q",
        "layers.7.mixer.q",
    ]


def test_another_feature_in_use_is_told():
    before = replace(DECISION, features=("attention.rope", "attention.window"))
    after = replace(DECISION, features=("attention.rope", "attention.sinks"))

    assert report(after, before)[1:] == ["  features in use: -attention.window, +attention.sinks"]


def test_a_decision_of_a_newer_version_is_read_without_what_is_new():
    values = json.loads(json.dumps(asdict(DECISION)))
    values["mood"] = "good"
    values["candidates"][0] |= {"verdict": "postponed", "mood": "good"}
    values["candidates"][0]["reasons"][0]["mood"] = "good"

    decision = decision_of(values)

    assert decision.candidates[0].reasons == GPU.reasons
    assert "postponed" in decision.report()


def test_a_decision_of_an_older_version_is_read():
    values = json.loads(json.dumps(asdict(DECISION)))
    for name in ("covers", "features", "match"):
        del values[name]

    assert decision_of(values) == DECISION
