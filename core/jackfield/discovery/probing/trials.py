"""Whether a plugin may come into this process, and what its probe finds: from memory, else tried elsewhere first."""

from __future__ import annotations

import logging
import os
from functools import cached_property

from jackfield.activation import PluginRef
from jackfield.discovery.local import LOCAL
from jackfield.discovery.probing.limits import Limits
from jackfield.discovery.probing.memory import TrialMemory
from jackfield.discovery.probing.outcome import FINE, Outcome
from jackfield.discovery.probing.process import TrialProcess
from jackfield.discovery.scan import CORE
from jackfield.interfaces.adapter import has_probe
from jackfield.interfaces.card import Card, Facts

logger = logging.getLogger(__name__)

# The core's own plugins are what runs the trials; a local file is its user's own code, which a debugger should see.
_NOT_TRIED = (CORE, LOCAL)
_CAN_TRY = hasattr(os, "fork")  # each trial is a fork
_SLOW_IMPORT_S = 1.0  # a card imports nothing heavy; every start and every listing waits for it


class Trials:
    """Tries plugins in processes of their own, each once in a state of the environment."""

    def __init__(self, import_timeout_s: float, probe_timeout_s: float) -> None:
        self._import_only = Limits(import_s=import_timeout_s)
        self._with_probe = Limits(import_s=import_timeout_s, probe_s=probe_timeout_s)
        self._process = TrialProcess()

    def admit(self, ref: PluginRef) -> None:
        """Raises HarmfulPlugin where importing the plugin would hurt. What merely raises is let in, to raise here."""
        if ref.distribution in _NOT_TRIED or not _CAN_TRY:
            return
        outcome = self._outcome(ref, self._import_only)
        outcome.check()
        if outcome.import_s > _SLOW_IMPORT_S:
            logger.warning(
                "importing %s of %s %s took %.1f s; its module should import what is heavy only where that is "
                "used (in probe, create and the like)",
                *(ref.name, ref.distribution, ref.version, outcome.import_s),
            )

    def probe(self, ref: PluginRef, card: Card) -> Facts:
        """What the plugin's probe finds. Raises HarmfulPlugin, or what the probe raises."""
        if ref.distribution in _NOT_TRIED or not has_probe(card) or not _CAN_TRY:
            return card.probe()
        outcome = self._outcome(ref, self._with_probe)
        outcome.check()
        if outcome.code == FINE and outcome.facts is not None and card.facts_last:
            return outcome.facts
        return card.probe()

    def close(self) -> None:
        """End the process of the trials, if there is one."""
        self._process.close()

    @cached_property
    def _memory(self) -> TrialMemory:
        return TrialMemory()

    def _outcome(self, ref: PluginRef, limits: Limits) -> Outcome:
        probe = limits.probe_s is not None
        outcome = self._memory.recall(ref, probe=probe)
        if outcome is None:
            outcome = self._process.ask(ref, limits)
            self._memory.keep(ref, outcome, probe=probe)
        return outcome
