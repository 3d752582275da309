"""The process of a rank: a fresh interpreter, or a fork of this one."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from jackfield.config.schema import FORK, SPAWN
from jackfield.errors import WorkerError
from jackfield.executor.child import main
from jackfield.executor.devices import taken_devices

# Starts a fresh interpreter with the import path of this one. Unlike "spawn" of multiprocessing it does not run the
# caller's main module again, so scripts need no `if __name__ == "__main__"`, and notebooks and `python -c` work.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from multiprocessing.connection import Connection; "
    "from jackfield.executor.child import main; main(Connection(int(sys.argv[1])))"
)
_SETTLE_S = 0.5  # the system may still count a joined thread for this time
# Ends of pipes that belong to this process. A fork closes its copies of them. Otherwise a rank would hold the pipe of
# another rank open, which then would not see its parent end.
_parents_ends: weakref.WeakSet[Connection] = weakref.WeakSet()


class Process(ABC):
    """A child of this process. `wait` must be called until it returns the exit status, so that the child is reaped."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Process id."""

    @abstractmethod
    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit status, negative for a signal; None if the process has not ended within the time."""

    @abstractmethod
    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""

    @abstractmethod
    def kill(self) -> None:
        """End it (SIGKILL)."""

    def forget(self) -> None:  # most have nothing to close
        """Close what is still open for an ended process. Its id and exit status stay known."""


def start_process(start_method: str, ours: Connection, theirs: Connection) -> Process:
    """Start a process that serves one rank through `theirs`. The caller closes its own copy of that end.

    Raises WorkerError if no process can be started in this way.
    """
    return _STARTS[start_method](ours, theirs)


class _Spawned(Process):
    def __init__(self, _: Connection, theirs: Connection) -> None:
        if not sys.executable:
            raise WorkerError(
                "cannot start a worker process: this Python does not know its own program (sys.executable is "
                'empty). Set sys.executable, or use select.executor = "inline"'
            )
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout_s: float | None = None) -> int | None:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


class _Forked(Process):
    def __init__(self, ours: Connection, theirs: Connection) -> None:
        if reason := _why_not_fork():
            raise WorkerError(
                f'cannot fork a worker process (executor.start_method = "{FORK}"): {reason}. Open the engine before '
                f'that, or use executor.start_method = "{SPAWN}", which can be used anywhere'
            )
        _parents_ends.add(ours)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_run_fork, args=(theirs,), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self._pid = self._process.pid
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def wait(self, timeout_s: float | None = None) -> int | None:
        if self._status is None:
            self._process.join(timeout_s)
            self._status = self._process.exitcode
        return self._status

    def forget(self) -> None:
        self._process.close()  # multiprocessing keeps a pipe that shows the end of the process

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


_STARTS: dict[str, Callable[[Connection, Connection], Process]] = {SPAWN: _Spawned, FORK: _Forked}


def _why_not_fork() -> str | None:
    """Why this process must not fork: locks of other threads would stay locked, devices cannot be used in two processes."""
    if not hasattr(os, "fork"):
        return f"this system ({sys.platform}) has none"
    if devices := taken_devices():
        return f"this process uses {', '.join(devices)}"
    until_s = time.monotonic() + _SETTLE_S
    while (num_threads := _num_threads()) > 1:
        if time.monotonic() > until_s:
            names = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
            known = f" (of Python: {', '.join(names)})" if names else " (started by a library)"
            return f"{num_threads - 1} other thread(s) run in this process{known}"
        time.sleep(0.01)
    return None


def _num_threads() -> int:
    """Number of threads of this process, including those of libraries if the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def _run_fork(theirs: Connection) -> None:
    gc.freeze()  # objects of the parent must not be finalised here
    for end in _parents_ends:
        end.close()
    signal.set_wakeup_fd(-1)  # the wakeup pipe belongs to the parent's event loop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(theirs)
