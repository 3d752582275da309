"""What runs in the process of a trial: it imports a plugin, probes it if asked to, and answers in lines of JSON."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from json import dumps, loads  # not to be replaced by a plugin
from os import getpid, write
from typing import Any

from jackfield.activation import PluginRef
from jackfield.discovery.devices import taken_devices
from jackfield.discovery.loading import load_target
from jackfield.discovery.printable import MAX_TEXT, printable
from jackfield.discovery.probing.facts import plain_facts
from jackfield.discovery.probing.intrusion import Watcher
from jackfield.discovery.probing.outcome import FINE, INTRUSIVE, LOST, RAISED, Outcome
from jackfield.discovery.probing.state import ProcessState
from jackfield.errors import PluginLoadError
from jackfield.interfaces.card import Watch

PIPES_CLOSED = 98  # exit status where a plugin closed our ends of the pipes


def main(watcher: Watcher, requests: int, answers: int) -> None:
    """Serve until nobody asks. Ends the process, whatever plugins left to be done at its end."""
    own = getpid()
    watcher.start()
    tried: dict[PluginRef, tuple[Any, Outcome]] = {}

    def answer(outcome: Outcome) -> None:
        if getpid() != own:  # a fork that a plugin made and let run on
            os._exit(0)
        _write(answers, dumps(asdict(outcome)).encode() + b"\n")

    try:
        for line in open(requests, "rb", closefd=False):  # noqa: SIM115 - a descriptor, for as long as we live
            request = loads(line)
            ref = PluginRef(**request["ref"])
            if ref not in tried:
                tried[ref] = _import(ref, watcher)
            card, imported = tried[ref]
            answer(imported)
            if request["probe"] and imported.code == FINE:
                answer(_probe(card, ref, watcher))
    except OSError:
        os._exit(PIPES_CLOSED)
    os._exit(0)


def _import(ref: PluginRef, watcher: Watcher) -> tuple[Any, Outcome]:
    state, held = ProcessState(), taken_devices()
    began_s = time.monotonic()
    card, failed = _attempt(lambda: load_target(ref), "imported")
    import_s = time.monotonic() - began_s
    taken = [device for device in taken_devices() if device not in held]
    if did := next(_intrusions(ref, watcher, state, taken), None):
        return None, Outcome(code=INTRUSIVE, text=f"it {did}", import_s=import_s)
    if failed:
        return None, failed
    watch = getattr(card, "watches", None)
    watch = watch if isinstance(watch, Watch) else Watch()
    return card, Outcome(code=FINE, import_s=import_s, watch=watch)


def _probe(card: Any, ref: PluginRef, watcher: Watcher) -> Outcome:
    facts, failed = _attempt(lambda: plain_facts(card.probe()), "probed")
    if did := next(_changes(ref, watcher), None):
        return Outcome(code=INTRUSIVE, text=f"it {did}")
    return failed or Outcome(code=FINE, facts=facts)


def _attempt(do: Callable[[], Any], verb: str) -> tuple[Any, Outcome | None]:
    try:
        return do(), None
    except (Exception, SystemExit) as error:
        known = isinstance(error, PluginLoadError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        return None, Outcome(code=RAISED, text=printable(text, MAX_TEXT))
    except BaseException as error:  # KeyboardInterrupt and its like would end the process that asks
        trace = printable("".join(traceback.format_exception_only(error)).strip(), MAX_TEXT)
        text = f"it raised what ends a program when it was {verb}: {trace}"
        return None, Outcome(code=LOST, text=text)


def _intrusions(
    ref: PluginRef, watcher: Watcher, state: ProcessState, taken: list[str]
) -> Iterator[str]:
    """What an import may not do."""
    if taken:
        yield f"took {', '.join(taken)} when it was imported; a card leaves devices alone"
    yield from _changes(ref, watcher)
    if replaced := watcher.replaced_in_python():
        yield f"replaced {', '.join(replaced[:3])}, which belong to Python"
    if changes := state.changes():
        yield f"{', '.join(changes)} when it was imported; an import leaves its process alone"


def _changes(ref: PluginRef, watcher: Watcher) -> Iterator[str]:
    package = ref.target.partition(":")[0].partition(".")[0]
    if replaced := watcher.replaced(package):
        yield f"replaced {', '.join(replaced[:3])}, which belong to the core or a runtime"


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[write(descriptor, data) :]
