"""The program of a rank's process: the worker on the main thread, the pipe from the parent on another thread.

The process ends with its parent: the reading thread sees at once that the pipe closed, whatever the worker does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from jackfield.discovery.selected import check_installed
from jackfield.errors import WorkerError
from jackfield.executor.create import create_worker
from jackfield.executor.messages import Command, Failed, Reply, Start, WhereAreYou, WhereIAm
from jackfield.executor.serve import failure, serve
from jackfield.interfaces.worker import Worker, WorkerContext

PARENT_GONE = 97  # exit status of a rank whose parent has ended


def main(connection: Connection) -> None:
    """Run the rank that the parent drives through this end of a pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    faulthandler.enable()
    _print_to_stderr()
    pipe = _Pipe(connection)
    start = pipe.receive()
    if not isinstance(start, Start):
        return  # closed before it was started
    commands: SimpleQueue[Command] = SimpleQueue()
    reader = threading.Thread(target=_read, args=(pipe, commands), name="pipe", daemon=True)
    reader.start()
    serve(lambda: _create(start), commands.get, pipe.send, start.platform)


def _print_to_stderr() -> None:
    """Send standard output to standard error: standard output belongs to the parent, for its answer."""
    sys.stdout = sys.stderr
    with contextlib.suppress(OSError):  # there may be no standard error
        os.dup2(2, 1)


def _create(start: Start) -> Worker:
    context: WorkerContext = pickle.loads(start.context)
    if (found := context.activation.digest) != start.digest:
        raise WorkerError(
            f"rank {context.rank} would run other plugins than the parent: the digest of its activation plan is "
            f"{found[:12]}, the parent's {start.digest[:12]}. Install the same versions in both places"
        )
    check_installed(context.activation)
    return create_worker(context)


def _read(pipe: _Pipe, commands: SimpleQueue[Command]) -> None:
    worker_thread = threading.main_thread().ident
    assert worker_thread is not None
    while True:
        try:
            message = pipe.receive()
        except Exception as error:  # its class cannot be imported here
            pipe.send(failure(error))
            return
        if isinstance(message, WhereAreYou):
            frame = sys._current_frames()[worker_thread]
            pipe.send(WhereIAm("".join(traceback.format_stack(frame))))
        else:
            commands.put(message)


class _Pipe:
    """The child's end of the pipe. If the parent is gone, the process ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # workers may reply from threads of their own

    def receive(self) -> Any:
        return pickle.loads(self._or_exit(self._connection.recv_bytes))

    def send(self, reply: Reply | WhereIAm) -> None:
        payload = _pickled(reply)
        with self._lock:
            self._or_exit(lambda: self._connection.send_bytes(payload))

    def _or_exit(self, transfer: Callable[[], bytes | None]) -> bytes:
        try:
            return transfer() or b""
        except (EOFError, OSError):
            os._exit(PARENT_GONE)


def _pickled(reply: Reply | WhereIAm) -> bytes:
    try:
        return pickle.dumps(reply, 5)
    except Exception as error:
        if isinstance(reply, Failed):  # its exception cannot be pickled
            return pickle.dumps(Failed(reply.summary, reply.traceback), 5)
        return pickle.dumps(failure(error), 5)
