"""Makes selections one after the other and keeps what they add up to: selections and decisions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from jackfield.activation import ActivationPlan, PluginRef, Selection
from jackfield.config import LoadedConfig
from jackfield.config.options import check_options
from jackfield.decision import Decision, Verdict
from jackfield.discovery.failure import check_conflict
from jackfield.discovery.kinds import HOOKS
from jackfield.discovery.loading import describe
from jackfield.discovery.registry import PluginRegistry
from jackfield.discovery.rules import SelectRules
from jackfield.discovery.selection import Tailor, select
from jackfield.errors import PluginError
from jackfield.interfaces.platform import ChoicePoint

logger = logging.getLogger(__name__)


class Planner:
    """Collects the activation plan of one engine. `thorough` asks every candidate, not only up to the first fit."""

    def __init__(self, registry: PluginRegistry, loaded: LoadedConfig, *, thorough: bool) -> None:
        self.registry = registry
        self.rules = SelectRules(loaded.config.select, loaded.provenance)
        self._thorough = thorough
        self._selections: list[Selection] = []
        self._decisions: list[Decision] = []
        self._told: set[PluginRef] = set()

    def choose(
        self, point: ChoicePoint, *, preferred_by: str = "the core", tailor: Tailor | None = None
    ) -> PluginRef:
        """Select for one choice point. Raises as `select` does."""
        self.check_named(point.setting, point.kind)
        plugin, decision = select(
            self.registry,
            point,
            self.rules,
            preferred_by=preferred_by,
            tailor=tailor,
            thorough=self._thorough,
        )
        self.add(point.subject, plugin, decision)
        return plugin

    def add(self, subject: str, plugin: PluginRef | None, decision: Decision) -> None:
        """Keep a decision, and its selection if there is one."""
        if plugin:
            self._selections.append(Selection(subject=subject, plugin=plugin))
        self._decisions.append(decision)
        for candidate in decision.candidates:
            if candidate.verdict is Verdict.FAILED:
                text = "; ".join(str(reason) for reason in candidate.reasons)
                logger.warning("%s; passed over: %s", decision.line(), text)
        if plugin:
            self._tell_notices(plugin)

    def activation(self) -> ActivationPlan:
        """The plan of all selections made, and of every hook that is installed and allowed. Raises PluginConflict."""
        found = self.registry.refs(HOOKS)
        check_conflict(found)
        hooks = [Selection(subject=ref.name, plugin=ref) for ref in found]
        for hook in hooks:
            self._tell_notices(hook.plugin)
        return ActivationPlan(
            selections=(*self._selections, *hooks), decisions=tuple(self._decisions)
        )

    def check_named(self, setting: str, kind: str) -> None:
        """Every plugin that the user named must be there, also in a rule that decides nothing. Raises PluginError."""
        for word in self.rules.words(setting):
            try:
                self.registry.ref(kind, word.name)
            except PluginError as error:
                raise type(error)(f"{word.where}: {error}") from None

    def idle_rules(self) -> tuple[str, ...]:
        """Rules of the user that decided nothing; no error, since one config may serve several models.

        They are logged where an engine starts; whoever asks thoroughly prints them.
        """
        idle = self.rules.idle()
        for sentence in () if self._thorough else idle:
            logger.warning("%s", sentence)
        return idle

    def _tell_notices(self, plugin: PluginRef) -> None:
        """Log once that a plugin which is used is of an old major."""
        if plugin not in self._told:
            self._told.add(plugin)
            for notice in self.registry.notices(plugin):
                logger.warning("%s: %s", describe(plugin), notice)

    def check_all_read(self, loaded: LoadedConfig) -> None:
        """Raise UnknownSettingError for words in [select] and [options] that nothing read."""
        self.rules.check_all_read()
        chosen = (selection.plugin for selection in self._selections)
        check_options(
            {ref.name: _options_of(self.registry.card(ref)) for ref in chosen},
            _names(self.registry.all),
            loaded.config,
            loaded.provenance,
        )


def _options_of(card: Any) -> type | None:
    return getattr(card, "options", None)  # models are functions


def _names(refs: Iterable[PluginRef]) -> frozenset[str]:
    return frozenset(ref.name for ref in refs)
