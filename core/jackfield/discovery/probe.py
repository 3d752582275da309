"""Tries plugins in a subprocess. A plugin that crashes or hangs there does no harm to the asking process."""

from __future__ import annotations

import faulthandler
import json
import logging
import math
import os
import reprlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from jackfield.activation import PluginRef
from jackfield.discovery.fact_cache import FactCache
from jackfield.discovery.loading import (
    FAULTS,
    NotSerialisable,
    PluginFault,
    fault_of,
    load_target,
)
from jackfield.discovery.local import LOCAL
from jackfield.discovery.printable import printable
from jackfield.discovery.scan import CORE
from jackfield.errors import PluginLoadError
from jackfield.interfaces.card import Card, Facts, has_probe

logger = logging.getLogger(__name__)

# The core's own plugins run here anyway. A local file is the user's own code, which a debugger should see.
_NOT_TRIED = (CORE, LOCAL)
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from jackfield.discovery.probe import serve; serve(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))"
)
_START_TIMEOUT_S = 60.0  # for the interpreter and the core, which no plugin slows down
_POLL_MS = 50  # between two checks whether the subprocess has ended
_SLOW_IMPORT_S = 1.0  # a card must import nothing heavy: every start waits for it
_MAX_FACTS_BYTES = 64 * 1024  # size of the JSON text
_OURS = str(Path(__file__).parent)  # frames in this folder say nothing about a plugin
_CRASH = "Fatal Python error"  # beginning of a report of faulthandler


class Prober:
    """Asks one subprocess, which starts when it is needed, and again after a plugin ended it. Keeps the answers."""

    def __init__(self, import_timeout_s: float, probe_timeout_s: float) -> None:
        self._limits_s = {"import": import_timeout_s, "probe": probe_timeout_s}
        self._process: _Subprocess | None = None
        self._cache = FactCache()
        self._lost: dict[tuple[str, str], PluginFault] = {}  # faults by distribution and module

    def admit(self, ref: PluginRef) -> None:
        """Import the plugin's card. Raises PluginFault if that fails."""
        if ref.distribution in _NOT_TRIED:
            return
        answer = self._answer(ref, "import")
        if (import_s := answer.get("import_s", 0.0)) > _SLOW_IMPORT_S:
            logger.warning(
                "importing %s of %s %s took %.1f s; its module should import what is heavy only where that is "
                "used (in probe, create and the like)",
                *(ref.name, ref.distribution, ref.version, import_s),
            )

    def probe(self, ref: PluginRef, card: Card) -> Facts:
        """The facts of the plugin's probe. Raises PluginFault if it fails."""
        if ref.distribution in _NOT_TRIED or not has_probe(card):
            return card.probe()
        facts: Facts = self._answer(ref, "probe")["facts"]
        return facts if card.facts_last else card.probe()

    def close(self) -> None:
        """End the subprocess. It starts again if another plugin must be tried."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _answer(self, ref: PluginRef, verb: str) -> dict[str, Any]:
        answer = self._cache.recall(ref, verb)
        if answer is None:
            answer = self._asked(ref, verb)
            self._cache.keep(ref, verb, answer)
        if "fault" in answer:
            raise PluginFault(**answer["fault"])
        return answer

    def _asked(self, ref: PluginRef, verb: str) -> dict[str, Any]:
        module = (ref.distribution, ref.target.partition(":")[0])
        if module in self._lost:  # a package of many models is waited for only once
            return {"fault": self._lost[module].values}
        self._process = self._process or _Subprocess(sum(self._limits_s.values()))
        try:
            return self._process.ask({"ref": asdict(ref), "verb": verb}, self._limits_s[verb])
        except TimeoutError:
            limit = f"{self._limits_s[verb]:g} s (plugins.{verb}_timeout_s)"
            cause, did = "hung", f"took longer than {limit}"
        except (EOFError, OSError):
            cause, did = self._process.end()
        except BaseException:  # otherwise the answer would be taken as that of the next question
            self.close()
            raise
        past = {"import": "imported", "probe": "probed"}[verb]
        text = f"in a process of its own it {did} when it was {past}{self._process.last_words()}"
        self.close()
        fault = PluginFault(cause=cause, text=text)
        if verb == "import":
            self._lost[module] = fault
        return {"fault": fault.values}


class _Subprocess:
    def __init__(self, limit_s: float) -> None:
        # Each question and each answer is one line.
        (hears, ours), (theirs, says) = os.pipe(), os.pipe()
        self._questions, self._answers = os.fdopen(ours, "wb", 0), os.fdopen(theirs, "rb")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        words = (json.dumps(sys.path), str(hears), str(says), str(limit_s))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, *words],
                pass_fds=(hears, says),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,  # an interrupt from the terminal must not reach it
            )
        finally:
            os.close(hears)
            os.close(says)
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        files = (self._questions, self._answers, self._stderr)
        self.close = weakref.finalize(self, _close, self._process, *files)
        try:
            self._receive(_START_TIMEOUT_S)
        except (OSError, EOFError) as error:
            written = self.last_words()
            self.close()
            raise PluginLoadError(
                f"the process in which plugins are tried does not start: {sys.executable}{written}"
                '\nTry them where they are needed instead: plugins.probe = "inline"'
            ) from error

    def ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """The answer to a question. Raises TimeoutError, or EOFError or OSError if the process has ended."""
        self._questions.write(_line(request))
        return self._receive(limit_s)

    def _receive(self, limit_s: float) -> dict[str, Any]:
        deadline_s = time.monotonic() + limit_s
        while not self._poll.poll(_POLL_MS):  # a child of the subprocess may hold the pipe open
            if self._process.poll() is not None and not self._poll.poll(0):
                raise EOFError
            if time.monotonic() > deadline_s:
                raise TimeoutError
        return _parsed(self._answers.readline())

    def end(self) -> tuple[str, str]:
        """How the subprocess ended: the cause, and the end of a sentence about it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        _kill(self._process)
        status = self._process.returncode
        if status >= 0:
            return "ended", f"ended the process with status {status}"
        with suppress(ValueError):  # a real-time signal has no name
            return "crashed", f"crashed with {signal.Signals(-status).name}"
        return "crashed", f"crashed with signal {-status}"

    def last_words(self) -> str:
        """The important lines that it wrote, as the end of a sentence: the first of a crash report, otherwise the last."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2**18))
        text = self._stderr.read().decode(errors="replace")
        crash = text.rfind(_CRASH)
        lines = [line for line in text[max(0, crash) :].splitlines() if line.strip()]
        lines = [printable(line, 200) for line in lines if _OURS not in line]
        shown = lines[:6] if crash >= 0 else lines[-6:]
        return "\n    ".join([", and wrote", *shown]) if shown else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the subprocess and the processes that it started."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    """The message in a line. Raises EOFError if the other end wrote no whole line."""
    if not line.endswith(b"\n"):
        raise EOFError
    message: dict[str, Any] = json.loads(line)
    return message


def _close(process: subprocess.Popen[bytes], *files: IO[bytes]) -> None:
    _kill(process)
    for file in files:
        file.close()


def serve(questions: int, answers: int, limit_s: float) -> None:
    """Answer questions, in the subprocess, until the other end of the pipe is closed."""
    faulthandler.enable()
    hear, say = os.fdopen(questions, "rb"), os.fdopen(answers, "wb", 0)
    say.write(_line({}))
    while True:
        try:
            request = _parsed(hear.readline())
            # Ends a hanging plugin if the asking process is gone.
            signal.alarm(math.ceil(limit_s) + 10)
            say.write(_line(_tried(PluginRef(**request["ref"]), request["verb"])))
            signal.alarm(0)
        except (EOFError, OSError):
            os._exit(0)  # skips exit handlers of plugins


def _tried(ref: PluginRef, verb: str) -> dict[str, Any]:
    began_s = time.monotonic()
    try:
        card = load_target(ref)
        import_s = time.monotonic() - began_s
        return {"facts": plain_facts(card.probe())} if verb == "probe" else {"import_s": import_s}
    except FAULTS as error:
        return {"fault": fault_of(ref, error).values}


def plain_facts(facts: Any) -> Facts:
    """A copy of the facts that a probe returned. Raises NotSerialisable if they cannot be written as JSON."""
    if not isinstance(facts, Mapping):
        raise NotSerialisable(f"probe() must return a mapping of facts, got {reprlib.repr(facts)}")
    for name, value in facts.items():
        is_plain = isinstance(name, str) and isinstance(value, str | int | float | None)
        if not is_plain or (isinstance(value, float) and not math.isfinite(value)):
            raise NotSerialisable(
                "probe() must return names with text, finite numbers, truth values or None, "
                f"got {reprlib.repr(name)}: {reprlib.repr(value)}"
            )
    if (num_bytes := len(json.dumps(dict(facts)))) > _MAX_FACTS_BYTES:
        raise NotSerialisable(
            f"probe() must return at most {_MAX_FACTS_BYTES} bytes of facts, got {num_bytes}"
        )
    return dict(facts)
