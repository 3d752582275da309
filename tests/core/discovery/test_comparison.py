"""Two explanations are compared decision by decision, and candidate by candidate."""

import json
from dataclasses import asdict, replace

import pytest

from jackfield.decision import Candidate, Decision, Reason, Verdict
from jackfield.discovery.comparison import compare, decision_of

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
        "      - no float64 here (set another)",
    ]


@pytest.mark.parametrize(
    ("candidates", "lines"),
    [
        ((CPU,), ["  - gpu [other 2.0] is no candidate any more"]),
        ((GPU, CPU, replace(CPU, name="npu")), ["  + npu [acme 1.0] chosen"]),
        ((GPU, replace(CPU, version="1.1")), ["  ~ cpu [acme 1.0 -> 1.1] chosen"]),
        (
            (replace(GPU, reasons=(Reason("ranks", "one rank only"),)), CPU),
            [
                "  ~ gpu [other 2.0] refused",
                "      - no float64 here (set another)",
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
