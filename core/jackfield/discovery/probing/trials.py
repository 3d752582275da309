"""Whether a plugin may come into this process, and what its probe finds: from memory, else tried elsewhere first."""

from __future__ import annotations

import os
from functools import cached_property

from jackfield.activation import PluginRef
from jackfield.discovery.local import LOCAL
from jackfield.discovery.probing.memory import TrialMemory
from jackfield.discovery.probing.outcome import FINE, Outcome
from jackfield.discovery.probing.process import TrialProcess
from jackfield.discovery.scan import CORE
from jackfield.interfaces.adapter import has_probe
from jackfield.interfaces.card import Card, Facts

# The core's own plugins are what runs the trials; a local file is its user's own code, which a debugger should see.
_NOT_TRIED = (CORE, LOCAL)


class Trials:
    """Tries plugins in a process of their own, each once in a state of the environment."""

    def __init__(self, timeout_s: float) -> None:
        self._process = TrialProcess(timeout_s)

    def admit(self, ref: PluginRef) -> None:
        """Raises HarmfulPlugin where importing the plugin would hurt. What merely raises is let in, to raise here."""
        if ref.distribution not in _NOT_TRIED and os.name == "posix":
            self._outcome(ref, probe=False).check()

    def probe(self, ref: PluginRef, card: Card) -> Facts:
        """What the plugin's probe finds. Raises HarmfulPlugin, or what the probe raises."""
        if ref.distribution in _NOT_TRIED or not has_probe(card) or os.name != "posix":
            return card.probe()
        outcome = self._outcome(ref, probe=True)
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

    def _outcome(self, ref: PluginRef, *, probe: bool) -> Outcome:
        outcome = self._memory.recall(ref, probe=probe)
        if outcome is None:
            outcome = self._process.ask(ref, probe=probe)
            self._memory.keep(ref, outcome, probe=probe)
        return outcome
