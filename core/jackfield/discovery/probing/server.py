"""The process that tries plugins: ready and with one thread, it forks children for the trials and never runs a plugin itself."""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import pkgutil
from dataclasses import asdict
from multiprocessing.connection import Connection

from jackfield import interfaces
from jackfield.activation import PluginRef
from jackfield.discovery.probing.intrusion import Watcher
from jackfield.discovery.probing.limits import Limits
from jackfield.discovery.probing.outcome import HUNG, Outcome
from jackfield.discovery.probing.trial import AskerGone, Trial


def main(requests_fd: int, answers_fd: int) -> None:
    """Serve until the other end closes."""
    faulthandler.enable()  # a crash of a child writes where it happened to stderr, which is kept
    requests = Connection(requests_fd, writable=False)
    answers = Connection(answers_fd, readable=False)
    _import_interfaces()
    server = _Server(Watcher(), requests_fd, answers_fd)
    gc.freeze()  # what is here stays shared with the children
    answers.send_bytes(b"ready")
    try:
        while True:
            request = json.loads(requests.recv_bytes())
            outcome = server.outcome(PluginRef(**request["ref"]), Limits(**request["limits"]))
            answers.send_bytes(json.dumps(asdict(outcome)).encode())
    except (EOFError, BrokenPipeError, AskerGone):
        server.close()


class _Server:
    """Plugins of one distribution, which is refused as a whole, are tried in one child as long as all are fine there."""

    def __init__(self, watcher: Watcher, requests_fd: int, answers_fd: int) -> None:
        self._watcher = watcher
        self._requests_fd = requests_fd
        self._not_theirs = (requests_fd, answers_fd)
        self._trial: Trial | None = None
        self._hung: dict[tuple[str, str], Outcome] = {}  # by distribution and module

    def outcome(self, ref: PluginRef, limits: Limits) -> Outcome:
        """Try the plugin; where harm is seen that one before it may have done, once more in a child of its own."""
        module = (ref.distribution, ref.target.partition(":")[0])
        if module in self._hung:  # a package of many models, say: wait for it once
            return self._hung[module]
        trial = self._trial if self._trial and self._trial.takes(ref) else self._fresh(ref)
        was_used = trial.is_used
        outcome = trial.outcome(ref, limits, asker=self._requests_fd)
        if outcome.is_harmful and was_used:
            outcome = self._fresh(ref).outcome(ref, limits, asker=self._requests_fd)
        if outcome.code == HUNG and not outcome.import_s:  # that is, while it was imported
            self._hung[module] = outcome
        return outcome

    def close(self) -> None:
        """End the child."""
        if self._trial:
            self._trial.close()
            self._trial = None

    def _fresh(self, ref: PluginRef) -> Trial:
        self.close()
        self._trial = Trial(ref.distribution, self._watcher, self._not_theirs)
        return self._trial


def _import_interfaces() -> None:
    """What plugins are written against, so that not every child imports it."""
    for found in pkgutil.iter_modules(interfaces.__path__, f"{interfaces.__name__}."):
        importlib.import_module(found.name)
