"""What differs between two explanations: decisions that came, went or changed, candidate by candidate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, cast

from jackfield.decision import Candidate, Decision, Reason, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """What one decision was before and another is after, for the same parts of a model; None where there is none."""

    kind: str
    subject: str  # that they have in common
    before: Decision | None
    after: Decision | None

    @property
    def is_other_choice(self) -> bool:
        """True where another plugin is chosen."""
        return _chosen(self.before) != _chosen(self.after)

    def report(self) -> str:
        """One line for the choice, then one for each thing that differs."""
        return "\n".join([self._title(), *(f"  {line}" for line in self.lines())])

    def lines(self) -> Iterator[str]:
        """What differs beside the choice. Versions of distributions are told apart, by `version_changes`."""
        if self.before and self.after:
            yield from _need_lines(self.before, self.after)
            if self.before.decided_by != self.after.decided_by:
                yield f"decided by: {self.before.decided_by} -> {self.after.decided_by}"
        before, after = _candidates(self.before), _candidates(self.after)
        for key in dict.fromkeys((*before, *after)):
            yield from _candidate_lines(before.get(key), after.get(key))

    def _title(self) -> str:
        before, after = _name(self.before), _name(self.after)
        if before == after and self.is_other_choice:
            before, after = (" of ".join(_chosen(d)) for d in (self.before, self.after))
        choice = f"{before} -> {after}" if before != after else f"{after}, as before"
        return f"{self.kind} for {self.subject}: {choice}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChange:
    """A distribution of which another version is installed."""

    distribution: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.distribution}: {self.before} -> {self.after}"


def compare(before: Iterable[Decision], after: Iterable[Decision]) -> tuple[DecisionChange, ...]:
    """What differs, in the order in which it was decided; decisions meet where they are for the same part of a model.

    A candidate that was not asked in one of them is no difference, nor is another version of one.
    """
    old, new = _by_part(before), _by_part(after)
    met: dict[tuple[str, int, int], list[str]] = {}
    for kind, part in dict.fromkeys((*old, *new)):
        pair = (kind, id(old.get((kind, part))), id(new.get((kind, part))))
        met.setdefault(pair, []).append(part)
    changes = (
        _change(kind, parts, old.get((kind, parts[0])), new.get((kind, parts[0])))
        for (kind, _, _), parts in met.items()
    )
    return tuple(change for change in changes if change.is_other_choice or any(change.lines()))


def version_changes(
    before: Iterable[Decision], after: Iterable[Decision]
) -> tuple[VersionChange, ...]:
    """Distributions of candidates that are there in another version."""
    old, new = _versions(before), _versions(after)
    return tuple(
        VersionChange(distribution=name, before=old[name], after=new[name])
        for name in old
        if name in new and old[name] != new[name]
    )


def decision_of(values: Mapping[str, Any]) -> Decision:
    """The decision that `dataclasses.asdict` and JSON made of one, by this version or by a newer one.

    Keys that are not known are left out; a verdict that is not known stays text. Raises KeyError and TypeError.
    """
    known = _known(Decision, values)
    return Decision(
        **{
            **known,
            "candidates": tuple(_candidate_of(candidate) for candidate in values["candidates"]),
            "covers": tuple(known.get("covers", ())),
            "features": tuple(known.get("features", ())),
        }
    )


def _candidate_of(values: Mapping[str, Any]) -> Candidate:
    word = values["verdict"]
    return Candidate(
        **{
            **_known(Candidate, values),
            "verdict": Verdict(word) if word in list(Verdict) else cast(Verdict, str(word)),
            "reasons": tuple(Reason(**_known(Reason, reason)) for reason in values["reasons"]),
        }
    )


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {item.name: values[item.name] for item in fields(cls) if item.name in values}


def _by_part(decisions: Iterable[Decision]) -> dict[tuple[str, str], Decision]:
    """By kind and covered part, or where nothing is named by subject."""
    return {
        (decision.kind, part): decision
        for decision in decisions
        for part in decision.covers or (decision.subject,)
    }


def _change(
    kind: str, parts: list[str], before: Decision | None, after: Decision | None
) -> DecisionChange:
    whole = {
        frozenset(d.covers or (d.subject,)): d.subject for d in (before, after) if d is not None
    }
    subject = whole.get(frozenset(parts)) or _in_words(parts)
    return DecisionChange(kind=kind, subject=subject, before=before, after=after)


def _in_words(parts: Iterable[str]) -> str:
    """Parts whose names differ by a number together: "layers.0-2,5.mixer.q, head"."""
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


def _name(decision: Decision | None) -> str:
    if decision is None:
        return "not asked"
    return decision.chosen or "none"


def _chosen(decision: Decision | None) -> tuple[str, ...]:
    """Name and distribution."""
    candidates = decision.candidates if decision else ()
    owners = [c.distribution for c in candidates if c.verdict is Verdict.CHOSEN]
    return (_name(decision), *owners)


def _versions(decisions: Iterable[Decision]) -> dict[str, str]:
    return {c.distribution: c.version for decision in decisions for c in decision.candidates}


def _candidates(decision: Decision | None) -> dict[tuple[str, str], Candidate]:
    found = decision.candidates if decision else ()
    return {(candidate.name, candidate.distribution): candidate for candidate in found}


def _need_lines(before: Decision, after: Decision) -> Iterator[str]:
    came = sorted({*after.features} - {*before.features})
    went = sorted({*before.features} - {*after.features})
    if came or went:
        signed = [*(f"-{name}" for name in went), *(f"+{name}" for name in came)]
        yield f"features in use: {', '.join(signed)}"


def _candidate_lines(before: Candidate | None, after: Candidate | None) -> Iterator[str]:
    if after is None:
        assert before is not None
        yield f"- {_label(before)} is no candidate any more"
        return
    if before is None:
        yield f"+ {_label(after)} {after.verdict}"
    elif _is_alike(before, after):
        return
    else:
        yield f"~ {_label(after)} {_changed(before.verdict, after.verdict)}"
    old = before.reasons if before else ()
    yield from (f"    - {reason}" for reason in old if reason not in after.reasons)
    yield from (f"    + {reason}" for reason in after.reasons if reason not in old)


def _is_alike(before: Candidate, after: Candidate) -> bool:
    if before.verdict == after.verdict:
        return before.reasons == after.reasons
    return Verdict.NOT_ASKED in (before.verdict, after.verdict)


def _label(candidate: Candidate) -> str:
    return f"{candidate.name} [{candidate.distribution} {candidate.version}]"


def _changed(before: str, after: str) -> str:
    return after if before == after else f"{before} -> {after}"
