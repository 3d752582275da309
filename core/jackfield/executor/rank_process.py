"""The parent's side of one rank: its process, its pipe, and what became of it."""

from __future__ import annotations

import contextlib
import json
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from jackfield.errors import WorkerError
from jackfield.executor.messages import Failed, Reply, WhereIAm
from jackfield.executor.serve import failure

# A fresh interpreter with this one's import path. Unlike multiprocessing's "spawn" it does not run the caller's main
# module again, so that scripts need no `if __name__ == "__main__"`, and notebooks and `python -c` work.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from jackfield.executor.child import main; main(int(sys.argv[1]))"
)
_TERMINATE_S = 2.0  # between asking a process to end and killing it


class RankProcess:
    """One process and the pipe to it. `end_all` must be called, so that it is reaped."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        if not sys.executable:
            raise WorkerError(
                "cannot start a worker process: this Python does not know its own program (sys.executable is "
                'empty). Set sys.executable, or use select.executor = "inline"'
            )
        self.pipe, theirs = Pipe()
        with theirs:
            self.process = _start(theirs)

    @property
    def name(self) -> str:
        """For messages."""
        return f"rank {self.rank} (process {self.process.pid})"

    def send(self, payload: bytes) -> None:
        """Send a pickled message. A process that is gone is noticed where its pipe is read."""
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(payload)

    def receive(self) -> Reply | WhereIAm | None:
        """The next reply; None where the process has closed its end."""
        try:
            payload = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        try:
            reply: Reply | WhereIAm = pickle.loads(payload)
        except Exception as error:  # an object of a class that this process lacks
            return failure(error)
        return reply

    def status(self, timeout_s: float) -> int | None:
        """How the process ended: exit status, negative for a signal; None where it has not within the time."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def failure(self, reply: Failed | None) -> Failed:
        """What it said when it failed, or what its silent end says, with its name."""
        if reply is not None:
            return Failed(f"{self.name}: {reply.summary}", reply.traceback, reply.error)
        return Failed(f"{self.name} {_in_words(self.status(_TERMINATE_S))}")


def end_all(ranks: Sequence[RankProcess], deadline_s: float) -> None:
    """Wait for the processes until `deadline_s` of time.monotonic(); end those that remain; reap all."""
    for rank in ranks:
        rank.status(max(0.0, deadline_s - time.monotonic()))
    remaining = [rank for rank in ranks if rank.status(0.0) is None]
    for rank in remaining:
        rank.process.terminate()
    deadline_s = time.monotonic() + _TERMINATE_S
    for rank in remaining:
        if rank.status(max(0.0, deadline_s - time.monotonic())) is None:
            rank.process.kill()
            rank.process.wait()


def _in_words(status: int | None) -> str:
    if status is None:
        return "closed its pipe"
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _start(pipe: Connection) -> subprocess.Popen[bytes]:
    arguments = [str(pipe.fileno()), json.dumps(sys.path)]
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, *arguments],
        stdin=subprocess.DEVNULL,
        pass_fds=[pipe.fileno()],
    )
