"""Why something was chosen or refused: the one object behind `explain`, the log line and the errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate does not fit. `code` is stable for programs; `text` and `remedy` are for people."""

    code: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.remedy})" if self.remedy else self.text


class Verdict(StrEnum):
    """What became of a candidate."""

    CHOSEN = "chosen"
    ACCEPTED = "accepted"  # would fit, but another comes first
    REFUSED = "refused"
    FAILED = "failed"  # raised while it was loaded or probed
    INCOMPATIBLE = "incompatible"  # speaks another contract major


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
    """One selection: every candidate in the order of preference, and what decided."""

    kind: str  # "platforms", "jackfield_torch.attention_backends"
    subject: str  # "engine", "layers 0-29"
    chosen: str | None
    decided_by: str  # "preference of platform cpu", "jackfield.toml: select.attention"
    candidates: tuple[Candidate, ...] = field(default=())

    def line(self) -> str:
        """One line for the log and for error messages."""
        return f"{self.kind} for {self.subject}: {self.chosen or 'none'} ({self.decided_by})"

    def report(self) -> str:
        """The line, then one line a candidate; neighbours of one distribution with one fate share a line."""
        rows = []
        for (verdict, place, reasons), alike in groupby(self.candidates, key=_fate):
            names = ", ".join(candidate.name for candidate in alike)
            rows.append(f"  {verdict:<12} {names} [{place}]")
            rows += [f"      {reason}" for reason in reasons]
        return "\n".join([self.line(), *rows])


def _fate(candidate: Candidate) -> tuple[Verdict, str, tuple[Reason, ...]]:
    place = f"{candidate.distribution} {candidate.version}"
    return candidate.verdict, place, candidate.reasons
