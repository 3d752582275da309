"""The parent's side of one rank: its process, its pipe, and how it ended."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from jackfield.executor.messages import Failed, Reply, WhereIAm
from jackfield.executor.process import start_process
from jackfield.executor.serve import failure

_TERMINATE_S = 2.0  # seconds between asking a process to end and killing it


class RankProcess:
    """One process and the pipe to it. `end_all` must be called, so that the process is reaped."""

    def __init__(self, rank: int, start_method: str, platform: str = "") -> None:
        self.rank = rank
        self._platform = platform  # name with distribution
        self.pipe, theirs = Pipe()
        with theirs:
            self.process = start_process(start_method, self.pipe, theirs)
        # Becomes readable when the process ends. None if the system does not support that.
        self.end = _end_of(self.process.pid)

    @property
    def name(self) -> str:
        """Name of the rank, for messages."""
        return f"rank {self.rank} (process {self.process.pid})"

    def send(self, payload: bytes) -> None:
        """Send a pickled message. If the process is gone, reading from its pipe shows that."""
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(payload)

    @property
    def sources(self) -> tuple[Connection | int, ...]:
        """What to wait on. The pipe alone is not enough: a child of the process may hold it open."""
        return (self.pipe,) if self.end is None else (self.pipe, self.end)

    def close(self) -> None:
        """Close the pipe of a process that was reaped."""
        self.pipe.close()
        self.process.forget()
        if self.end is not None:
            os.close(self.end)
            self.end = None

    def receive(self, source: object = None) -> Reply | WhereIAm | None:
        """The next reply; None if the process closed its end, or ended (`source` tells) without another reply."""
        try:
            if source is not None and source == self.end and not self.pipe.poll():
                return None
            payload = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        try:
            reply: Reply | WhereIAm = pickle.loads(payload)
        except Exception as error:  # an object of a class that this process lacks
            return failure(error)
        return reply

    def status(self, timeout_s: float) -> int | None:
        """The exit status, negative for a signal; None if the process has not ended within the time."""
        return self.process.wait(timeout_s)

    def failure(self, reply: Failed | None) -> Failed:
        """The failure that the process reported, or one made from its exit status; with its name."""
        if reply is not None:
            return Failed(f"{self.name}: {reply.summary}", reply.traceback, reply.error)
        whose = f"; it ran the worker of {self._platform}" if self._platform else ""
        return Failed(f"{self.name} {_in_words(self.status(_TERMINATE_S))}{whose}")


def _end_of(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not supported by this system
        return None


def end_all(ranks: Sequence[RankProcess], deadline_s: float) -> None:
    """Wait for the processes until `deadline_s` of time.monotonic(), end those that remain, and reap all."""
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
