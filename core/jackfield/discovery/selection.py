"""One selection: which plugin serves a choice point, and why the others do not. Pure logic over cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from jackfield.activation import PluginRef
from jackfield.decision import Candidate, Decision, Reason, Verdict
from jackfield.discovery.failure import NoFacts, check_conflict, incompatibility
from jackfield.discovery.kinds import short_name
from jackfield.discovery.loading import calling
from jackfield.discovery.local import LOCAL
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules, Word
from jackfield.discovery.scan import CORE
from jackfield.errors import JackfieldError, PluginError, PluginLoadError, SelectionError
from jackfield.features import features_in_use
from jackfield.interfaces.card import Card, has_check
from jackfield.interfaces.platform import ChoicePoint

Tailor = Callable[[PluginRef], Any]
"""Makes the need for one candidate, if the need depends on the candidate's own choices."""

NOTHING_FITS = "nothing fits"
UNDECIDED = "undecided"  # the selection itself is wrong


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

    If the user named a plugin, that plugin is chosen or the selection fails. Otherwise candidates are asked in the
    order of preference and then of name, up to the first that fits. If `thorough`, the others are asked too. Raises
    PluginNotFound, PluginIncompatible, PluginConflict, PluginLoadError (a named plugin does not load) or
    SelectionError, each with the decision.
    """
    judge = _Judge(registry, point, tailor, thorough=thorough)
    decided_by = UNDECIDED
    try:
        word = rules.word(point.setting, point.match)
        decided_by = word.where if word else UNDECIDED
        check_named(registry, rules, point.setting, point.kind)
        if word:
            return _select_named(registry, judge, word)
        check_conflict(judge.refs)
        return _select_first(judge, preferred_by)
    except JackfieldError as error:
        if error.decision is None:
            error.decision = judge.undecided(decided_by)
        raise


def check_named(registry: PluginRegistry, rules: SelectRules, setting: str, kind: str) -> None:
    """Raise PluginError if a plugin that the user named is missing, even in a rule that decides nothing."""
    for word in rules.words(setting):
        try:
            registry.ref(kind, word.name)
        except PluginError as error:
            raise type(error)(f"{word.where}: {error}") from None


def undecided(
    registry: PluginRegistry,
    kind: str,
    subject: str,
    waits_for: str,
    preference: tuple[str, ...] = (),
) -> Decision:
    """The decision on a choice point whose need is unknown, because something before it was not decided."""
    reason = Reason("not_asked", f"what it must serve depends on {waits_for}")
    refs = in_order(registry.refs(kind), preference)
    return Decision(
        kind=short_name(kind),
        subject=subject,
        chosen=None,
        decided_by=f"nothing yet: depends on {waits_for}",
        candidates=(
            *(candidate_of(ref, Verdict.NOT_ASKED, reason) for ref in refs),
            *incompatible_of(registry, kind),
        ),
    )


def not_named(word: Word, setting: str) -> Reason:
    """The reason against a plugin if the user named another."""
    return Reason("not_named", f"{word.where} names {word.name}", f"name it with select.{setting}")


def conflict_of(ref: PluginRef, refs: Iterable[PluginRef], setting: str) -> tuple[Reason, ...]:
    """The reason against a plugin whose name other distributions use too; empty if there are none."""
    owners = [other.distribution for other in refs if other.name == ref.name]
    if len(owners) == 1:
        return ()
    remedy = f'name one with select.{setting} = "{ref.name}@{ref.distribution}"'
    return (Reason("conflict", f"{len(owners)} distributions own this name", remedy),)


def in_order(refs: Iterable[PluginRef], preference: tuple[str, ...]) -> list[PluginRef]:
    """Preferred plugins first, then the others by name."""
    place = {name: index for index, name in enumerate(preference)}
    return sorted(refs, key=lambda ref: (place.get(ref.name, len(place)), ref.name))


def incompatible_of(registry: PluginRegistry, kind: str) -> list[Candidate]:
    """The candidates of other contract majors. They are listed, but never asked."""
    found = []
    for ref in registry.incompatible(kind):
        error, fix = incompatibility(ref, registry.kind(kind))
        found.append(candidate_of(ref, Verdict.INCOMPATIBLE, Reason("major", error, fix)))
    return found


def candidate_of(ref: PluginRef, verdict: Verdict, *reasons: Reason) -> Candidate:
    """A candidate with its verdict."""
    return Candidate(
        name=ref.name,
        distribution=ref.distribution,
        version=ref.version,
        verdict=verdict,
        reasons=reasons,
    )


def failed_candidate(ref: PluginRef, error: PluginLoadError) -> Candidate:
    """A candidate that raised, with the error in one line."""
    text = error.summary or str(error).partition("\n")[0]
    return candidate_of(ref, Verdict.FAILED, Reason("failed", text, error.remedy))


def _select_first(judge: _Judge, preferred_by: str) -> tuple[PluginRef, Decision]:
    chosen: PluginRef | None = None
    candidates: list[Candidate] = []
    for ref in judge.refs:
        if chosen is None or judge.thorough:
            candidate = judge.asked(ref)
        else:
            reason = Reason("not_asked", "comes later; was not asked")
            candidate = candidate_of(ref, Verdict.NOT_ASKED, reason)
        if candidate.verdict is Verdict.ACCEPTED and chosen is None:
            candidate, chosen = replace(candidate, verdict=Verdict.CHOSEN), ref
        candidates.append(candidate)
    if chosen is None:
        raise _nothing_fits(judge.decision(None, NOTHING_FITS, candidates), judge.point)
    return chosen, judge.decision(chosen, _decided_by(chosen, judge, preferred_by), candidates)


def _select_named(
    registry: PluginRegistry, judge: _Judge, word: Word
) -> tuple[PluginRef, Decision]:
    named = registry.ref(judge.point.kind, word.name)
    candidate = judge.asked(named, is_named=True)
    fits = candidate.verdict is Verdict.ACCEPTED
    if fits:
        candidate = replace(candidate, verdict=Verdict.CHOSEN)
    others = judge.passed_over(not_named(word, judge.point.setting), named)
    decision = judge.decision(named if fits else None, word.where, [candidate, *others])
    if fits:
        return named, decision
    if candidate.verdict in (Verdict.FAILED, Verdict.NOT_ASKED):
        _raise_again(registry, named, decision)
    problem = f"{word.where} names {word.name!r}, which does not fit {judge.point.subject}"
    remedy = "Name another, or remove the setting to let the engine choose"
    reasons = ". ".join(map(str, candidate.reasons))
    told = f"{problem}: {reasons}. {remedy}"
    raise SelectionError(told, decision, told)


def _raise_again(registry: PluginRegistry, ref: PluginRef, decision: Decision) -> None:
    """If loading or probing the plugin failed, raise that error again."""
    try:
        registry.facts(ref)
    except PluginLoadError as error:
        error.decision = decision
        raise


class _Judge:
    """Asks one candidate after the other: first its features, then its probe, then its check."""

    def __init__(
        self, registry: PluginRegistry, point: ChoicePoint, tailor: Tailor | None, *, thorough: bool
    ) -> None:
        self._registry = registry
        self.point = point
        self.refs = in_order(registry.refs(point.kind), point.preference)
        self.thorough = thorough
        self._tailor = tailor
        self._features = features_in_use(point.need)

    def asked(self, ref: PluginRef, *, is_named: bool = False) -> Candidate:
        """The candidate with its verdict: ACCEPTED, REFUSED, FAILED, or NOT_ASKED if its facts are unknown.

        A card with `only_named` is asked only if the user named it, or if `thorough`.
        """
        notes: tuple[Reason, ...] = ()
        try:
            card: Card = self._registry.card(ref)
            if not card.only_named or is_named:
                takes_all = () if is_named else self._takes_all(ref, card)
                reasons = takes_all or self._reasons(ref, card)
            elif self.thorough:
                own = self._reasons(ref, card)
                reasons = (self._only_named(ref, "" if own else "; it would fit"), *own)
            else:
                return candidate_of(ref, Verdict.NOT_ASKED, self._only_named(ref))
            if not reasons:
                notes = self._notes(ref)
        except NoFacts as error:
            reason = Reason("no_facts", error.summary, error.remedy)
            return candidate_of(ref, Verdict.NOT_ASKED, reason)
        except PluginLoadError as error:
            return failed_candidate(ref, error)
        if reasons:
            return candidate_of(ref, Verdict.REFUSED, *reasons)
        return candidate_of(ref, Verdict.ACCEPTED, *notes)

    def passed_over(self, reason: Reason, named: PluginRef | None = None) -> list[Candidate]:
        """All candidates but the named one, with `reason` before their own reasons, which are asked only if `thorough`."""
        found = []
        for ref in (ref for ref in self.refs if ref != named):
            own = self.asked(ref) if self.thorough else candidate_of(ref, Verdict.NOT_ASKED)
            found.append(replace(own, reasons=(reason, *own.reasons)))
        return found

    def undecided(self, decided_by: str) -> Decision:
        """The decision if the selection itself is wrong: a name means nothing, or has two owners."""
        candidates = []
        for ref in self.refs:
            own = self.asked(ref) if self.thorough else candidate_of(ref, Verdict.NOT_ASKED)
            reasons = conflict_of(ref, self.refs, self.point.setting)
            candidates.append(replace(own, reasons=(*reasons, *own.reasons)))
        return self.decision(None, decided_by, candidates)

    def decision(
        self, chosen: PluginRef | None, decided_by: str, candidates: Iterable[Candidate]
    ) -> Decision:
        """The decision on this point. Candidates of other majors are added."""
        point = self.point
        return Decision(
            kind=short_name(point.kind),
            subject=point.subject,
            chosen=chosen.name if chosen else None,
            decided_by=decided_by,
            candidates=(*candidates, *incompatible_of(self._registry, point.kind)),
            covers=point.covers,
            features=tuple(sorted(self._features)),
            match=dict(point.match),
        )

    def _takes_all(self, ref: PluginRef, card: Card) -> tuple[Reason, ...]:
        """The reason that a card does not say which models it is for, if that matters for its kind."""
        if not self._registry.kind(ref.kind).by_check or has_check(card):
            return ()
        remedy = (
            f'set select.{self.point.setting} = "{ref.name}", or ask its author for a check method'
        )
        return (Reason("no_check", "does not say which ones are its own", remedy),)

    def _only_named(self, ref: PluginRef, more: str = "") -> Reason:
        remedy = f'set select.{self.point.setting} = "{ref.name}"'
        return Reason("only_named", f"is taken only where it is named{more}", remedy)

    def _reasons(self, ref: PluginRef, card: Card) -> tuple[Reason, ...]:
        if "*" not in card.features and (missing := self._features - card.features):
            text = f"does not serve {', '.join(sorted(missing))}"
            return (Reason("feature", text, self._remedy_for_features(ref)),)
        self._registry.facts(ref)  # if the probe fails, that error is reported first
        return self._registry.check(ref, self._need(ref))

    def _notes(self, ref: PluginRef) -> tuple[Reason, ...]:
        note = self._registry.note(ref, self._need(ref))
        return (Reason("note", note),) if note else ()

    def _need(self, ref: PluginRef) -> Any:
        if not self._tailor:
            return self.point.need
        with calling(ref, "find out what to ask of"):
            return self._tailor(ref)

    def _remedy_for_features(self, ref: PluginRef) -> str:
        if ref.distribution in (CORE, LOCAL):  # there is no other release of them
            return f"name one that does with select.{self.point.setting}, or do without it"
        return f"needs a release of {ref.distribution} that declares it"


def _decided_by(chosen: PluginRef, judge: _Judge, preferred_by: str) -> str:
    """Who decided, in words. They do not depend on whether later candidates were asked."""
    if chosen.name in judge.point.preference:
        merit = judge.point.merit
        return f"preference of {preferred_by}" + (f": {merit}" if merit else "")
    return "the only one that fits" if chosen == judge.refs[-1] else "order of names"


def _nothing_fits(decision: Decision, point: ChoicePoint) -> SelectionError:
    names = ", ".join(dict.fromkeys(candidate.name for candidate in decision.candidates))
    what = f"none of the installed ones fits ({names})" if names else "no plugin is installed"
    found = f"no {short_name(point.kind)} for {point.subject}"
    remedy = point.remedy or (
        "install one that does (pip install jackfield-NAME), or change the settings that it is asked for, "
        f"or name one with select.{point.setting}"
    )
    problem = f"{what}: {remedy}"
    told = "\n".join(filter(None, [found, decision.refusals(), problem]))
    return SelectionError(told, decision, problem)
