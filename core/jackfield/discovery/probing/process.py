"""The asker's end of the process that tries plugins."""

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
from jackfield.discovery.probing.limits import Limits
from jackfield.discovery.probing.outcome import LOST, Outcome, read_outcome
from jackfield.discovery.probing.wreck import end_in_words, last_words
from jackfield.errors import PluginLoadError

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from jackfield.discovery.probing.server import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_READY_TIMEOUT_S = 60.0  # for the interpreter and the core, which are not the plugin's fault
_SPARE_S = 10.0  # beyond the limits of a trial, which the server keeps itself
_END_TIMEOUT_S = 1.0  # for the server to end its trial and itself


class TrialProcess:
    """Started when it is first asked; ends with `close()` or its owner."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._failed: PluginLoadError | None = (
            None  # to start; the next plugin need not wait for that again
        )

    def ask(self, ref: PluginRef, limits: Limits) -> Outcome:
        """Import the plugin's card there, and probe it where the limits have a time for that; waits for the outcome."""
        running = self._started()
        try:
            return running.ask(ref, limits)
        except (EOFError, OSError):
            text = f"the process that watches over it {end_in_words(running.end())}"
            self.close()
            return Outcome(code=LOST, text=text)
        except BaseException:  # of an interrupt the answer would be taken for the next one's
            self.close()
            raise

    def _started(self) -> _Running:
        if self._failed:
            raise self._failed
        try:
            self._running = self._running or _Running()
        except PluginLoadError as error:
            self._failed = error
            raise
        return self._running

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
            start_new_session=True,  # an interrupt from the terminal is not for it
        )
        os.close(requests_fd)
        os.close(answers_fd)
        self.close = weakref.finalize(
            self, _end, self._process, self._requests, self._answers, self._stderr
        )
        if not self._answers.poll(_READY_TIMEOUT_S) or not self._is_ready():
            written = last_words(self._stderr)
            self.close()
            raise PluginLoadError(
                f"the process in which plugins are tried does not start: {sys.executable} wrote\n{written}"
                '\nTry them where they are needed instead: plugins.probe = "inline"'
            )

    def ask(self, ref: PluginRef, limits: Limits) -> Outcome:
        """Raises EOFError or OSError where the process is gone or does not answer."""
        request = {"ref": asdict(ref), "limits": asdict(limits)}
        self._requests.send_bytes(json.dumps(request).encode())
        if not self._answers.poll(2 * limits.total_s + _SPARE_S):  # it may try twice
            raise TimeoutError
        return read_outcome(json.loads(self._answers.recv_bytes()))

    def end(self) -> int:
        """Its exit status, negative for a signal."""
        self.close()
        return self._process.returncode

    def _is_ready(self) -> bool:
        try:
            return bool(self._answers.recv_bytes())
        except (EOFError, OSError):
            return False


def _end(
    process: subprocess.Popen[bytes], requests: Connection, *files: Connection | IO[Any]
) -> None:
    requests.close()  # at which the server ends its trial and itself
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for file in files:
        file.close()
