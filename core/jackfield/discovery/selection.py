"""One selection: which plugin serves a choice point, and why not the others. Pure logic over cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from jackfield.activation import PluginRef
from jackfield.decision import Candidate, Decision, Reason, Verdict
from jackfield.discovery.failure import check_conflict, incompatibility
from jackfield.discovery.kinds import short_name
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules, Word
from jackfield.errors import PluginLoadError, SelectionError
from jackfield.features import features_in_use
from jackfield.interfaces.card import Card, Facts
from jackfield.interfaces.platform import ChoicePoint

Tailor = Callable[[Card, Facts], Any]
"""The need that one candidate is checked with, where it depends on what the candidate would choose itself."""


def select(
    registry: PluginRegistry,
    point: ChoicePoint,
    rules: SelectRules,
    *,
    preferred_by: str = "the core",
    tailor: Tailor | None = None,
    thorough: bool = False,
) -> tuple[PluginRef, Decision]:
    """The plugin for a choice point, and the decision.

    The user's word wins or fails. Else candidates are asked in the order of preference and then of name, up to
    the first that fits; `thorough` asks the others too. Raises PluginNotFound, PluginIncompatible, PluginConflict,
    PluginLoadError (a named plugin does not load) or SelectionError, which carries the decision.
    """
    judge = _Judge(registry, point, tailor)
    word = rules.word(point.setting, point.match)
    if word:
        return _select_named(registry, point, judge, word)
    refs = _ordered(registry.refs(point.kind), point.preference)
    check_conflict(refs)
    chosen: PluginRef | None = None
    candidates: list[Candidate] = []
    for ref in refs:
        candidate = judge.asked(ref) if thorough or chosen is None else _not_asked(ref)
        if candidate.verdict is Verdict.ACCEPTED and chosen is None:
            candidate, chosen = replace(candidate, verdict=Verdict.CHOSEN), ref
        candidates.append(candidate)
    candidates += _incompatible(registry, point.kind)
    decision = Decision(
        kind=short_name(point.kind),
        subject=point.subject,
        chosen=chosen.name if chosen else None,
        decided_by=_decided_by(chosen, point.preference, preferred_by, candidates),
        candidates=tuple(candidates),
    )
    if chosen is None:
        raise _nothing_fits(decision, point)
    return chosen, decision


def _select_named(
    registry: PluginRegistry, point: ChoicePoint, judge: _Judge, word: Word
) -> tuple[PluginRef, Decision]:
    named = registry.ref(point.kind, word.name)
    candidate = judge.asked(named, is_named=True)
    fits = candidate.verdict is Verdict.ACCEPTED
    if fits:
        candidate = replace(candidate, verdict=Verdict.CHOSEN)
    decision = Decision(
        kind=short_name(point.kind),
        subject=point.subject,
        chosen=named.name if fits else None,
        decided_by=word.where,
        candidates=(
            candidate,
            *others_than(registry, named, not_named(word, point.setting), point.preference),
        ),
    )
    if candidate.verdict is Verdict.FAILED:
        registry.facts(named)  # raises again what it failed with
    if not fits:
        raise SelectionError(
            f"{word.where} names {word.name!r}, which does not fit {point.subject}\n"
            f"{decision.report()}\nName another, or remove the setting to let the engine choose",
            decision,
        )
    return named, decision


def not_named(word: Word, setting: str) -> Reason:
    """Why a plugin is passed over where the user named another."""
    return Reason("not_named", f"{word.where} names {word.name}", f"name it with select.{setting}")


def others_than(
    registry: PluginRegistry, chosen: PluginRef, reason: Reason, preference: tuple[str, ...] = ()
) -> list[Candidate]:
    """All other plugins of a kind, refused unasked, and those of another contract major."""
    refs = _ordered(registry.refs(chosen.kind), preference)
    refused = [_candidate(ref, Verdict.REFUSED, reason) for ref in refs if ref != chosen]
    return refused + _incompatible(registry, chosen.kind)


class _Judge:
    """Asks one candidate after the other: features first, then the probe, then its own check."""

    def __init__(self, registry: PluginRegistry, point: ChoicePoint, tailor: Tailor | None) -> None:
        self._registry = registry
        self._point = point
        self._tailor = tailor
        self._features = features_in_use(point.need)

    def asked(self, ref: PluginRef, *, is_named: bool = False) -> Candidate:
        """The candidate with its verdict: ACCEPTED, REFUSED or FAILED."""
        try:
            reasons = self._reasons(ref, is_named)
        except PluginLoadError as error:
            return _candidate(ref, Verdict.FAILED, Reason("failed", str(error)))
        if reasons:
            return _candidate(ref, Verdict.REFUSED, *reasons)
        return _candidate(ref, Verdict.ACCEPTED, *self._registry.notices(ref))

    def _reasons(self, ref: PluginRef, is_named: bool) -> tuple[Reason, ...]:
        card: Card = self._registry.card(ref)
        if card.only_named and not is_named:
            remedy = f'set select.{self._point.setting} = "{ref.name}"'
            return (Reason("only_named", "is taken only where it is named", remedy),)
        if "*" not in card.features and (missing := self._features - card.features):
            text = f"does not serve {', '.join(sorted(missing))}"
            remedy = f"needs a release of {ref.distribution} that declares it"
            return (Reason("feature", text, remedy),)
        facts = self._registry.facts(ref)
        need = self._tailor(card, facts) if self._tailor else self._point.need
        return self._registry.check(ref, need)


def _ordered(refs: Iterable[PluginRef], preference: tuple[str, ...]) -> list[PluginRef]:
    place = {name: index for index, name in enumerate(preference)}
    return sorted(refs, key=lambda ref: (place.get(ref.name, len(place)), ref.name))


def _not_asked(ref: PluginRef) -> Candidate:
    return _candidate(ref, Verdict.ACCEPTED, Reason("not_asked", "comes later; was not asked"))


def _incompatible(registry: PluginRegistry, kind: str) -> list[Candidate]:
    found = []
    for ref in registry.incompatible(kind):
        error, fix = incompatibility(ref, registry.kind(kind))
        found.append(_candidate(ref, Verdict.INCOMPATIBLE, Reason("major", error, fix)))
    return found


def _candidate(ref: PluginRef, verdict: Verdict, *reasons: Reason) -> Candidate:
    return Candidate(
        name=ref.name,
        distribution=ref.distribution,
        version=ref.version,
        verdict=verdict,
        reasons=reasons,
    )


def _decided_by(
    chosen: PluginRef | None,
    preference: tuple[str, ...],
    preferred_by: str,
    candidates: list[Candidate],
) -> str:
    if chosen is None:
        return "nothing fits"
    if chosen.name in preference:
        return f"preference of {preferred_by}"
    fitting = [c for c in candidates if c.verdict in (Verdict.CHOSEN, Verdict.ACCEPTED)]
    return "the only one that fits" if len(fitting) == 1 else "order of names"


def _nothing_fits(decision: Decision, point: ChoicePoint) -> SelectionError:
    names = ", ".join(dict.fromkeys(candidate.name for candidate in decision.candidates))
    what = f"none of the installed ones fits ({names})" if names else "no plugin is installed"
    remedy = point.remedy or (
        "install one that does (pip install jackfield-NAME), or change the settings that it is asked for, "
        f"or name one with select.{point.setting}"
    )
    return SelectionError(f"{decision.report()}\n{what}: {remedy}", decision)
