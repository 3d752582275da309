"""Compares the decisions of two explanations, candidate by candidate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from jackfield.decision import Candidate, Decision, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """A decision before and after, for the same parts of a model; None if there is none."""

    kind: str
    subject: str  # the parts in words
    before: Decision | None
    after: Decision | None

    @property
    def is_other_choice(self) -> bool:
        """True if another plugin is chosen."""
        return _chosen(self.before) != _chosen(self.after)

    def report(self) -> str:
        """One line for the choice, then one line for each difference."""
        before, after = (_chosen(decision)[0] for decision in (self.before, self.after))
        if before == after and self.is_other_choice:
            before, after = (" of ".join(_chosen(d)) for d in (self.before, self.after))
        choice = f"{before} -> {after}" if before != after else f"{after}, as before"
        return "\n  ".join([f"{self.kind} for {self.subject}: {choice}", *self.lines()])

    def lines(self) -> Iterator[str]:
        """The differences beside the choice, without versions of distributions."""
        if self.before and self.after:
            old, new = set(self.before.features), set(self.after.features)
            if old != new:
                signed = [
                    *(f"-{x}" for x in sorted(old - new)),
                    *(f"+{x}" for x in sorted(new - old)),
                ]
                yield f"features in use: {', '.join(signed)}"
            if self.before.decided_by != self.after.decided_by:
                yield f"decided by: {self.before.decided_by} -> {self.after.decided_by}"
        before, after = (
            {(c.name, c.distribution): c for c in (decision.candidates if decision else ())}
            for decision in (self.before, self.after)
        )
        for key in dict.fromkeys((*before, *after)):
            yield from _candidate_lines(before.get(key), after.get(key))


def compare(before: Iterable[Decision], after: Iterable[Decision]) -> tuple[DecisionChange, ...]:
    """The changed decisions, in the order in which they were made. Decisions for the same part of a model are compared.

    A candidate that was not asked in one of them does not count as a difference, nor does another version of a
    candidate.
    """
    old, new = (
        {(d.kind, part): d for d in decisions for part in d.covers or (d.subject,)}
        for decisions in (before, after)
    )
    met: dict[tuple[str, int, int], list[str]] = {}
    for key in dict.fromkeys((*old, *new)):
        met.setdefault((key[0], id(old.get(key)), id(new.get(key))), []).append(key[1])
    pairs = (
        (kind, parts, old.get((kind, parts[0])), new.get((kind, parts[0])))
        for (kind, _, _), parts in met.items()
    )
    changes = (
        DecisionChange(kind=kind, subject=_subject(parts, b, a), before=b, after=a)
        for kind, parts, b, a in pairs
    )
    return tuple(change for change in changes if change.is_other_choice or any(change.lines()))


def version_changes(
    before: Iterable[Decision], after: Iterable[Decision]
) -> list[tuple[str, str, str]]:
    """Distributions of candidates whose versions differ: name, before, after."""
    old, new = (
        {c.distribution: c.version for decision in decisions for c in decision.candidates}
        for decisions in (before, after)
    )
    both = (name for name in old if name in new)
    return [(name, old[name], new[name]) for name in both if old[name] != new[name]]


def _subject(parts: Sequence[str], *decisions: Decision | None) -> str:
    """The subject of a decision that is for exactly these parts. If there is none, the parts, with numbers in ranges."""
    for decision in decisions:
        if decision and {*(decision.covers or (decision.subject,))} == {*parts}:
            return decision.subject
    alike: dict[tuple[str, str], list[int]] = {}
    for part in parts:
        stem, number, rest = re.fullmatch(r"(\D*)(\d*)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        alike.setdefault((stem, rest), []).extend([int(number)] if number else [])
    return ", ".join(f"{stem}{_ranges(found)}{rest}" for (stem, rest), found in alike.items())


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers in words: "0-2,5"."""
    runs = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda entry: entry[1] - entry[0]):
        found = [number for _, number in run]
        runs.append(f"{found[0]}-{found[-1]}" if len(found) > 1 else f"{found[0]}")
    return ",".join(runs)


def _chosen(decision: Decision | None) -> tuple[str, ...]:
    """Name and distribution of the chosen plugin."""
    if decision is None:
        return ("not asked",)
    owners = [c.distribution for c in decision.candidates if c.verdict is Verdict.CHOSEN]
    return (decision.chosen or "none", *owners)


def _candidate_lines(before: Candidate | None, after: Candidate | None) -> Iterator[str]:
    if after is None:
        assert before is not None
        yield f"- {_label(before)} is no candidate any more"
        return
    verdict, old = str(after.verdict), before.reasons if before else ()
    if before and before.verdict != after.verdict:
        if Verdict.NOT_ASKED in (before.verdict, after.verdict):
            return
        verdict = f"{before.verdict} -> {after.verdict}"
    elif before and old == after.reasons:
        return
    yield f"{'~' if before else '+'} {_label(after)} {verdict}"
    yield from (f"    - {reason}" for reason in old if reason not in after.reasons)
    yield from (f"    + {reason}" for reason in after.reasons if reason not in old)


def _label(candidate: Candidate) -> str:
    return f"{candidate.name} [{candidate.distribution} {candidate.version}]"
