"""Makes one selection after the other, and collects selections, decisions and problems."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.config import LoadedConfig
from jackfield.config.options import check_options
from jackfield.decision import Candidate, Decision, Verdict
from jackfield.discovery.content import fingerprint
from jackfield.discovery.failure import check_conflict
from jackfield.discovery.kinds import HOOKS, short_name
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules
from jackfield.discovery.selection import Tailor, candidate_of, failed_candidate, select, undecided
from jackfield.errors import JackfieldError, PluginLoadError
from jackfield.interfaces.platform import ChoicePoint

logger = logging.getLogger(__name__)


T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem that prevents an engine, and what to do about it."""

    error: str  # class of the error, such as "SelectionError"
    text: str
    kind: str = ""  # kind of plugin whose selection failed, if one did
    subject: str = ""

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """Make a problem from an error."""
        name = type(error).__name__
        if not isinstance(error, JackfieldError):
            return cls(error=name, text=f"{name}: {error}")
        remedy = f". {error.remedy}" if isinstance(error, PluginLoadError) and error.remedy else ""
        text = f"{error.summary}{remedy}" if error.summary else str(error)
        if not isinstance(error.decision, Decision):
            return cls(error=name, text=text)
        failed = error.decision
        return cls(error=name, text=text, kind=failed.kind, subject=failed.subject)

    def __str__(self) -> str:
        return f"{self.kind} for {self.subject}: {self.text}" if self.kind else self.text


class Chooser:
    """Collects the activation plan of one engine.

    If `thorough`, every candidate is asked, not only those up to the first fit. If it `keeps_going`, errors become
    problems.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        loaded: LoadedConfig,
        *,
        thorough: bool = False,
        keeps_going: bool = False,
    ) -> None:
        self.registry = registry
        self.rules = SelectRules(loaded.config.select, loaded.provenance)
        self.problems: list[Problem] = []
        self._thorough = thorough
        self._keeps_going = keeps_going
        self._selections: list[Selection] = []
        self._decisions: list[Decision] = []

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions so far, also of failed selections."""
        return tuple(self._decisions)

    def attempt(self, do: Callable[[], T]) -> T | None:
        """Call `do`. If the chooser keeps going, an error becomes a problem, and the result is None."""
        try:
            return do()
        except Exception as error:  # also an error that a plugin raised
            if not self._keeps_going:
                raise
            if not isinstance(error, JackfieldError):
                logger.info("goes on after an error", exc_info=True)
            problem = Problem.of(error)
            if problem not in self.problems:
                self.problems.append(problem)
            return None

    def choose(
        self, point: ChoicePoint, *, preferred_by: str = "the core", tailor: Tailor | None = None
    ) -> PluginRef:
        """Select for one choice point. Raises as `select` does, and also keeps the decision of a failed selection."""
        try:
            plugin, decision = select(
                self.registry,
                point,
                self.rules,
                preferred_by=preferred_by,
                tailor=tailor,
                thorough=self._thorough,
            )
        except JackfieldError as error:
            if isinstance(error.decision, Decision):
                self.add(point.subject, None, error.decision)
            raise
        self.add(point.subject, plugin, decision)
        return plugin

    def leave_open(self, kind: str, subject: str, waits_for: str) -> None:
        """Note that a selection could not be made, because something before it was not decided."""
        self._decisions.append(undecided(self.registry, kind, subject, waits_for))

    def add(self, subject: str, plugin: PluginRef | None, decision: Decision) -> None:
        """Keep a decision, and its selection if there is one."""
        if plugin:
            self._selections.append(
                Selection(subject=subject, plugin=plugin, covers=decision.covers)
            )
        self._decisions.append(decision)
        for candidate in decision.candidates:
            harmful = {(f.name, f.distribution) for f in self.registry.harmful}
            # Reported once, for the engine.
            is_told = (candidate.name, candidate.distribution) in harmful
            if candidate.verdict is Verdict.FAILED and not is_told:
                text = "; ".join(str(reason) for reason in candidate.reasons)
                logger.warning("%s; passed over: %s", decision.line(), text)

    def activation(self) -> ActivationPlan:
        """The plan of all selections, and of every hook that is installed and allowed."""
        hooks = self.registry.refs(HOOKS)
        selections = (
            *self._selections,
            *(Selection(subject=hook.name, plugin=hook) for hook in hooks),
        )
        distributions = sorted({selection.plugin.distribution for selection in selections})
        return ActivationPlan(
            selections=selections,
            decisions=(*self._decisions, *(hook_decision(self.registry, h) for h in hooks)),
            contents={name: fingerprint(name) for name in distributions},
        )

    def offer(self, kind: str) -> None:
        """Offer every plugin of a kind that is installed, allowed and loads.

        Raises PluginConflict if two of them share a name.
        """
        refs = self.registry.refs(kind)
        check_conflict(refs)
        for ref in refs:
            try:
                self.registry.card(ref)
            except PluginLoadError as error:
                self.add(ref.name, None, _offered(ref, failed_candidate(ref, error)))
            else:
                self.add(ref.name, ref, _offered(ref, candidate_of(ref, Verdict.CHOSEN)))

    def check_hooks(self) -> None:
        """Raise PluginConflict if two of them share a name."""
        check_conflict(self.registry.refs(HOOKS))

    def idle_rules(self) -> tuple[str, ...]:
        """Rules of the user that decided nothing. They are no errors, because one config may serve several models.

        They are logged when an engine starts; `explain` prints them.
        """
        idle = self.rules.idle()
        for sentence in () if self._thorough else idle:
            logger.warning("%s", sentence)
        return idle

    def check_all_read(self, loaded: LoadedConfig) -> None:
        """Raise UnknownSettingError for names in [select] and [options] that nothing has read."""
        self.rules.check_all_read()
        cards = [(s.plugin.name, self.registry.card(s.plugin)) for s in self._selections]
        check_options(
            {name: _options_of(card) for name, card in (*self._hooks_with(loaded), *cards)},
            _names(self.registry.all),
            loaded.config,
            loaded.provenance,
        )

    def _hooks_with(self, loaded: LoadedConfig) -> Iterator[tuple[str, Any]]:
        """The hooks that have options, if an engine is made. A hook that does not load is reported later."""
        for ref in () if self._thorough else self.registry.refs(HOOKS):
            if ref.name in loaded.config.options:
                with suppress(PluginLoadError):
                    yield ref.name, self.registry.card(ref)


def hook_decision(
    registry: PluginRegistry, hook: PluginRef, failure: PluginLoadError | None = None
) -> Decision:
    """The decision on a hook. Only an engine makes hooks, because making one may open a port."""
    candidate = candidate_of(hook, Verdict.CHOSEN)
    if failure is not None:
        candidate = failed_candidate(hook, failure)
    return Decision(
        kind=short_name(HOOKS),
        subject=hook.name,
        chosen=None if failure else hook.name,
        decided_by="every hook that is installed and allowed",
        candidates=(candidate,),
        covers=(f"{hook.name}@{hook.distribution}",),
    )


def _offered(ref: PluginRef, candidate: Candidate) -> Decision:
    return Decision(
        kind=short_name(ref.kind),
        subject=ref.name,
        chosen=ref.name if candidate.verdict is Verdict.CHOSEN else None,
        decided_by="every one that is installed and allowed",
        candidates=(candidate,),
    )


def _options_of(card: Any) -> type | None:
    return getattr(card, "options", None)  # a model is a function


def _names(refs: Iterable[PluginRef]) -> frozenset[str]:
    return frozenset(ref.name for ref in refs)
