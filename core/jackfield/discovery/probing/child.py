"""The process in which plugins are tried: it reads requests from a pipe and answers each with an outcome."""

from __future__ import annotations

import faulthandler
import json
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from jackfield.activation import PluginRef
from jackfield.discovery.devices import taken_devices
from jackfield.discovery.loading import load_target
from jackfield.discovery.probing import intrusion
from jackfield.discovery.probing.outcome import FINE, INTRUSIVE, RAISED, Outcome


def main(requests_fd: int, answers_fd: int) -> None:
    """Serve until the other end closes."""
    faulthandler.enable()  # a crash writes where it happened to stderr, which the parent keeps
    requests = Connection(requests_fd, writable=False)
    answers = Connection(answers_fd, readable=False)
    intrusion.import_core()
    before = intrusion.snapshot()
    answers.send_bytes(b"ready")
    cards: dict[PluginRef, Any] = {}
    while True:
        try:
            request = json.loads(requests.recv_bytes())
        except EOFError:
            return
        ref = PluginRef(**request["ref"])
        outcome = Outcome(code=FINE) if ref in cards else _load(ref, cards)
        if outcome.code == FINE and request["probe"]:
            outcome = _probe(cards[ref])
        if changed := intrusion.replaced(before):
            text = f"it replaced {', '.join(changed[:3])}, which belong to the core"
            outcome = Outcome(code=INTRUSIVE, text=text)
        answers.send_bytes(json.dumps(asdict(outcome)).encode())


def _load(ref: PluginRef, cards: dict[PluginRef, Any]) -> Outcome:
    held = taken_devices()
    try:
        cards[ref] = load_target(ref)
    except Exception as error:
        return Outcome(code=RAISED, text=str(error))
    if taken := [device for device in taken_devices() if device not in held]:
        text = f"it took {', '.join(taken)} when it was imported; a card leaves devices alone"
        return Outcome(code=INTRUSIVE, text=text)
    return Outcome(code=FINE)


def _probe(card: Any) -> Outcome:
    try:
        facts = dict(card.probe())
        json.dumps(facts)
    except (Exception, SystemExit) as error:
        return Outcome(code=RAISED, text=f"{type(error).__name__}: {error}")
    return Outcome(code=FINE, facts=facts)
