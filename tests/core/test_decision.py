"""A decision is told in a report of all candidates, or with others in one line."""

from dataclasses import replace

from jackfield.decision import Candidate, Decision, Verdict, summary

CPU = Candidate(name="cpu", distribution="acme", version="1.0", verdict=Verdict.CHOSEN)
DECISION = Decision(
    kind="platforms", subject="engine", chosen="cpu", decided_by="name", candidates=(CPU,)
)


def test_the_summary_names_distributions_and_versions():
    assert summary([DECISION]) == "platforms for engine: cpu [acme 1.0] (name)"


def test_neighbours_with_one_choice_share_an_entry_of_the_summary():
    other = replace(DECISION, subject="rest")
    changed = replace(other, subject="last", decided_by="code")

    assert summary([DECISION, other, changed]) == (
        "platforms for engine and rest: cpu [acme 1.0] (name); "
        "platforms for last: cpu [acme 1.0] (code)"
    )


def test_the_summary_tells_what_was_not_chosen():
    none = replace(DECISION, chosen=None, candidates=(replace(CPU, verdict=Verdict.REFUSED),))

    assert summary([none]) == "platforms for engine: none (name)"
