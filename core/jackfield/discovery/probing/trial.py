"""Trials of the plugins of one distribution, in one fork: what comes of each, within its limits."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

from jackfield.activation import PluginRef
from jackfield.discovery.probing import child
from jackfield.discovery.probing.fork import POLL_S, Fork
from jackfield.discovery.probing.intrusion import Watcher
from jackfield.discovery.probing.limits import Limits
from jackfield.discovery.probing.outcome import FINE, HUNG, LOST, Outcome, read_outcome

_MAX_ANSWER_BYTES = 1024 * 1024  # far above what the child lets through
_ENDS_WITHIN_S = 1.0  # of a process that closed its end of the pipe
_PIPES_SPOILT = "closed or wrote to files of its process that are not its own"


class AskerGone(Exception):
    """Nobody waits for the outcome any more."""


class Trial:
    """A child in which plugins of one distribution are imported, until one of them is probed or is not fine."""

    def __init__(self, distribution: str, watcher: Watcher, not_theirs: Sequence[int]) -> None:
        self._distribution = distribution
        self._fork = Fork(partial(child.main, watcher), not_theirs)
        self._received = b""
        self._limits = Limits(import_s=0.0)  # of the plugin that is being tried
        self.is_used = False  # another plugin was tried before
        self._is_spoilt = False

    def takes(self, ref: PluginRef) -> bool:
        """True where the plugin may be tried here."""
        same = ref.distribution == self._distribution
        return same and not self._is_spoilt and not self._fork.has_ended

    def outcome(self, ref: PluginRef, limits: Limits, asker: int) -> Outcome:
        """Try the plugin. Raises AskerGone when the descriptor `asker` closes, on which nothing else is expected."""
        self._received, self._limits = b"", limits
        request = {"ref": asdict(ref), "probe": limits.probe_s is not None}
        self._fork.send(json.dumps(request).encode() + b"\n")
        outcome = self._watch(asker) or self._answer()
        self.is_used = True
        self._is_spoilt = outcome.code != FINE or limits.probe_s is not None
        return outcome

    def close(self) -> None:
        """End the child."""
        self._fork.close()

    def _watch(self, asker: int) -> Outcome | None:
        """Wait until the answer is there or the child has ended; what is wrong where it takes too long."""
        limit = f"{self._limits.import_s:g} s (plugins.import_timeout_s)"
        was_probing, deadline_s = False, time.monotonic() + self._limits.import_s
        while not self._is_complete and not self._fork.has_ended:
            if self._is_probing and not was_probing and self._limits.probe_s is not None:
                limit = f"{self._limits.probe_s:g} s (plugins.probe_timeout_s)"
                was_probing, deadline_s = True, time.monotonic() + self._limits.probe_s
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                return self._bad(HUNG, f"took longer than {limit} when it was {self._verb}")
            ready = self._fork.wait(remaining_s, asker, self._fork.answers)
            if asker in ready:
                raise AskerGone
            if self._fork.answers in ready and not self._receive():
                return self._after_the_pipe()
        return None

    @property
    def _lines(self) -> list[bytes]:
        """Those that are whole."""
        return self._received.split(b"\n")[:-1]

    @property
    def _is_probing(self) -> bool:
        return self._limits.probe_s is not None and len(self._lines) == 1

    @property
    def _is_complete(self) -> bool:
        lines = self._lines
        if self._limits.probe_s is None or not lines:
            return bool(lines)
        return len(lines) > 1 or self._imported().code != FINE

    @property
    def _verb(self) -> str:
        return "probed" if self._is_probing else "imported"

    def _receive(self) -> bool:
        """Take what is there; False at the end, or where it is more than any answer."""
        data = self._fork.receive()
        self._received += data or b""
        return data is not None and len(self._received) <= _MAX_ANSWER_BYTES

    def _after_the_pipe(self) -> Outcome | None:
        """A child that has closed its end is about to end."""
        deadline_s = time.monotonic() + _ENDS_WITHIN_S
        while not self._fork.has_ended:
            if time.monotonic() > deadline_s:
                return self._bad(LOST, _PIPES_SPOILT)
            time.sleep(POLL_S)
        return None

    def _answer(self) -> Outcome:
        """What the child has answered, or what its end says."""
        if not self._is_complete and not self._last_is_complete():
            return self._ended()
        try:
            last = read_outcome(json.loads(self._lines[-1]))
        except (ValueError, TypeError, KeyError):
            return self._bad(LOST, _PIPES_SPOILT)
        imported = self._imported()
        return replace(last, import_s=imported.import_s, watch=imported.watch)

    def _last_is_complete(self) -> bool:
        """Take what the child wrote just before its end."""
        before = -1
        while before < len(self._received):
            before = len(self._received)
            self._receive()
        return self._is_complete

    def _ended(self) -> Outcome:
        self._fork.end()
        if self._fork.status == child.PIPES_CLOSED:
            return self._bad(LOST, _PIPES_SPOILT)
        return self._bad(LOST, f"{self._fork.end_in_words()} when it was {self._verb}")

    def _bad(self, code: str, did: str) -> Outcome:
        text = f"it {did}{self._fork.told()}"
        return replace(self._imported(), code=code, text=text, facts=None)

    def _imported(self) -> Outcome:
        """What was answered on the import, as far as it can be understood."""
        try:
            return read_outcome(json.loads(self._lines[0]))
        except (ValueError, TypeError, KeyError, IndexError):
            return Outcome(code=LOST)
