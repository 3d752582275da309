"""Why something was chosen or refused. `explain`, log lines and errors are all made from these objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from itertools import groupby
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate does not fit. Programs read `code`, which is stable; people read `text` and `remedy`."""

    code: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


class Verdict(StrEnum):
    """The result for a candidate."""

    CHOSEN = "chosen"
    ACCEPTED = "accepted"  # it fits, but another comes first or was named
    NOT_ASKED = "not asked"  # it is not known whether it fits
    REFUSED = "refused"
    FAILED = "failed"  # it raised while it was loaded or probed
    INCOMPATIBLE = "incompatible"  # it has another contract major


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One plugin that was considered."""

    name: str
    distribution: str
    version: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One selection: every candidate in the order of preference, and who decided."""

    kind: str  # "platforms", "jackfield_torch.attention_backends"
    subject: str  # "engine", "layers 0-29"
    chosen: str | None
    decided_by: str  # such as "preference of platform cpu" or "jackfield.toml: select.attention"
    candidates: tuple[Candidate, ...] = field(default=())
    # The parts of the model that it is for, such as "layers.0"; () means all.
    covers: tuple[str, ...] = ()
    features: tuple[str, ...] = ()  # features in use, which candidates must serve
    match: Mapping[str, object] = field(default_factory=dict, hash=False)  # facts for rules

    def line(self) -> str:
        """One line for error messages and reports."""
        return f"{self.kind} for {self.subject}: {self.chosen or 'none'} ({self.decided_by})"

    def refusals(self) -> str:
        """A line for the decision, and a reason for each candidate that was asked and does not fit. `report` has all
        reasons.
        """
        told = (Verdict.REFUSED, Verdict.FAILED, Verdict.INCOMPATIBLE)
        asked = [candidate for candidate in self.candidates if candidate.verdict in told]
        return "\n".join(
            f"  {candidate.name}: {candidate.reasons[0] if candidate.reasons else candidate.verdict}"
            for candidate in asked or self.candidates
        )

    def report(self) -> str:
        """The line, then a line for each candidate. Neighbours of one distribution with equal results share a line."""
        rows = []
        for (verdict, place, reasons), alike in groupby(self.candidates, key=_fate):
            names = ", ".join(candidate.name for candidate in alike)
            rows.append(f"  {verdict:<12} {names} [{place}]")
            rows += [f"      {reason}" for reason in reasons]
        return "\n".join([self.line(), *rows])


def decision_of(values: Mapping[str, Any]) -> Decision:
    """The decision from the output of `dataclasses.asdict` or JSON, of this version or a newer one.

    Unknown keys are left out; an unknown verdict stays a text. Raises KeyError and TypeError.
    """

    def candidate(values: Mapping[str, Any]) -> Candidate:
        word, reasons = values["verdict"], (_known(Reason, r) for r in values["reasons"])
        verdict = Verdict(word) if word in list(Verdict) else cast(Verdict, str(word))
        made = {"verdict": verdict, "reasons": tuple(Reason(**reason) for reason in reasons)}
        return Candidate(**{**_known(Candidate, values), **made})

    known = _known(Decision, values)
    lists = {name: tuple(known.get(name, ())) for name in ("covers", "features")}
    return Decision(**{**known, **lists, "candidates": tuple(map(candidate, values["candidates"]))})


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: values[item.name] for item in fields(cls) if item.name in values}


def summary(decisions: Iterable[Decision]) -> str:
    """All choices in one line, for the log. Neighbours of one kind with the same choice share an entry."""
    entries = []
    for (kind, choice, decided_by), alike in groupby(decisions, key=_choice):
        subjects = " and ".join(decision.subject for decision in alike)
        entries.append(f"{kind} for {subjects}: {choice} ({decided_by})")
    return "; ".join(entries)


def _choice(decision: Decision) -> tuple[str, str, str]:
    chosen = (c for c in decision.candidates if c.verdict is Verdict.CHOSEN)
    names = [f"{c.name} [{c.distribution} {c.version}]" for c in chosen]
    return decision.kind, names[0] if names else "none", decision.decided_by


def _fate(candidate: Candidate) -> tuple[Verdict, str, tuple[Reason, ...]]:
    place = f"{candidate.distribution} {candidate.version}"
    return candidate.verdict, place, candidate.reasons
