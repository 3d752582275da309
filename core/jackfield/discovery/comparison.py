"""What differs between two explanations: decisions that came, went or changed, candidate by candidate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jackfield.decision import Candidate, Decision, Reason, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """One decision before and after; None where there was, or is, none. At least something differs."""

    kind: str
    subject: str
    before: Decision | None
    after: Decision | None

    @property
    def is_other_choice(self) -> bool:
        """True where another plugin is chosen."""
        return _chosen(self.before) != _chosen(self.after)

    def report(self) -> str:
        """One line for the choice, then one for each thing that differs."""
        return "\n".join([self._title(), *(f"  {line}" for line in self._lines())])

    def _title(self) -> str:
        before, after = _chosen(self.before), _chosen(self.after)
        choice = f"{before} -> {after}" if before != after else f"{after}, as before"
        return f"{self.kind} for {self.subject}: {choice}"

    def _lines(self) -> Iterator[str]:
        if self.before and self.after and self.before.decided_by != self.after.decided_by:
            yield f"decided by: {self.before.decided_by} -> {self.after.decided_by}"
        before, after = _candidates(self.before), _candidates(self.after)
        for key in dict.fromkeys((*before, *after)):
            yield from _candidate_lines(before.get(key), after.get(key))


def compare(before: Iterable[Decision], after: Iterable[Decision]) -> tuple[DecisionChange, ...]:
    """The decisions that differ, in the order in which they were made."""
    old = {(decision.kind, decision.subject): decision for decision in before}
    new = {(decision.kind, decision.subject): decision for decision in after}
    return tuple(
        DecisionChange(kind=kind, subject=subject, before=old.get(key), after=new.get(key))
        for key in dict.fromkeys((*old, *new))
        for kind, subject in (key,)
        if old.get(key) != new.get(key)
    )


def decision_of(values: Mapping[str, Any]) -> Decision:
    """The decision that `dataclasses.asdict` and JSON made of one. Raises KeyError and TypeError."""
    return Decision(
        kind=values["kind"],
        subject=values["subject"],
        chosen=values["chosen"],
        decided_by=values["decided_by"],
        candidates=tuple(
            Candidate(
                name=candidate["name"],
                distribution=candidate["distribution"],
                version=candidate["version"],
                verdict=Verdict(candidate["verdict"]),
                reasons=tuple(Reason(**reason) for reason in candidate["reasons"]),
            )
            for candidate in values["candidates"]
        ),
    )


def _chosen(decision: Decision | None) -> str:
    if decision is None:
        return "not asked"
    return decision.chosen or "none"


def _candidates(decision: Decision | None) -> dict[tuple[str, str], Candidate]:
    found = decision.candidates if decision else ()
    return {(candidate.name, candidate.distribution): candidate for candidate in found}


def _candidate_lines(before: Candidate | None, after: Candidate | None) -> Iterator[str]:
    if before == after:
        return
    if after is None:
        assert before is not None
        yield f"- {_label(before, before.version)} is no candidate any more"
        return
    if before is None:
        yield f"+ {_label(after, after.version)} {after.verdict}"
    else:
        version = _changed(before.version, after.version)
        yield f"~ {_label(after, version)} {_changed(before.verdict, after.verdict)}"
    old = before.reasons if before else ()
    yield from (f"    - {reason}" for reason in old if reason not in after.reasons)
    yield from (f"    + {reason}" for reason in after.reasons if reason not in old)


def _label(candidate: Candidate, version: str) -> str:
    return f"{candidate.name} [{candidate.distribution} {version}]"


def _changed(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
