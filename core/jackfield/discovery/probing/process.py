"""The parent's end of the process in which plugins are tried."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import IO, Any

from jackfield.activation import PluginRef
from jackfield.discovery.probing.outcome import HUNG, INTRUSIVE, LOST, Outcome
from jackfield.errors import PluginLoadError

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from jackfield.discovery.probing.child import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_READY_TIMEOUT = 60.0  # seconds for the interpreter and the core, which are not the plugin's fault
_SHOWN_LINES = 6  # of what a crash wrote


class TrialProcess:
    """Started when it is first asked, and again after a plugin spoiled it; ends with `close()` or its owner."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._running: _Running | None = None

    def ask(self, ref: PluginRef, *, probe: bool) -> Outcome:
        """Import the plugin's card there, with `probe` also probe it; waits for the outcome."""
        running = self._running = self._running or _Running()
        outcome = running.ask(ref, probe=probe, timeout_s=self._timeout_s)
        if outcome.code in (LOST, HUNG, INTRUSIVE):
            self.close()
        return outcome

    def close(self) -> None:
        """End the process. It starts again if it is asked again."""
        if self._running is not None:
            self._running.close()
            self._running = None


class _Running:
    def __init__(self) -> None:
        requests_fd, write_fd = os.pipe()
        read_fd, answers_fd = os.pipe()
        self._requests = Connection(write_fd, readable=False)
        self._answers = Connection(read_fd, writable=False)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        path = json.dumps([*sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, path, str(requests_fd), str(answers_fd)],
            pass_fds=(requests_fd, answers_fd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,  # so that what it starts can be ended with it
        )
        os.close(requests_fd)
        os.close(answers_fd)
        self.close = weakref.finalize(
            self, _end, self._process, self._requests, self._answers, self._stderr
        )
        if not self._answers.poll(_READY_TIMEOUT) or not self._is_ready():
            written = self._written()
            self.close()
            raise PluginLoadError(
                f"the process in which plugins are tried does not start: {sys.executable} wrote\n{written}"
                '\nTry them where they are needed instead: plugins.probe = "inline"'
            )

    def ask(self, ref: PluginRef, *, probe: bool, timeout_s: float) -> Outcome:
        verb = "probed" if probe else "imported"
        try:
            self._requests.send_bytes(json.dumps({"ref": asdict(ref), "probe": probe}).encode())
            if not self._answers.poll(timeout_s):
                limit = f"{timeout_s:g} s (plugins.probe_timeout_s)"
                return Outcome(code=HUNG, text=f"it took longer than {limit} when it was {verb}")
            return Outcome(**json.loads(self._answers.recv_bytes()))
        except (EOFError, OSError):
            return Outcome(
                code=LOST, text=f"it {self._end_in_words()} when it was {verb}{self._told()}"
            )

    def _is_ready(self) -> bool:
        try:
            return bool(self._answers.recv_bytes())
        except (EOFError, OSError):
            return False

    def _end_in_words(self) -> str:
        status = self._process.wait()
        if status < 0:
            return f"crashed with {signal.Signals(-status).name}"
        return f"ended the process with status {status}"

    def _told(self) -> str:
        written = self._written()
        return f", and wrote\n{written}" if written else ""

    def _written(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[:_SHOWN_LINES])


def _end(process: subprocess.Popen[bytes], *files: Connection | IO[Any]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for file in files:
        file.close()
