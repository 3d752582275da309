"""Starts the interpreter in which an engine will run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import NamedTuple

# A fresh interpreter with this one's import path, without the directory of a script in front.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from jackfield_openai_server.engine.child import main; main()"
)


class Child(NamedTuple):
    """A process that waits for its first message, and our end of the connection. It ends when that is closed."""

    process: subprocess.Popen[bytes]
    connection: socket.socket


_ahead: list[Child] = []


def spawn() -> Child:
    """A new child."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), json.dumps(sys.path)]
    with theirs:
        # A group of its own: Ctrl-C in a terminal reaches the server alone, which drains first.
        process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, process_group=0
        )
    ours.setblocking(False)
    return Child(process, ours)


def spawn_ahead() -> None:
    """Start the child that `take_child` gives, so that its imports run beside those of the server."""
    _ahead.append(spawn())


def take_child() -> Child:
    """The child that was started ahead, else a new one."""
    return _ahead.pop() if _ahead else spawn()


def end_ahead() -> None:
    """End a child that nobody took."""
    while _ahead:
        child = _ahead.pop()
        child.connection.close()
        child.process.kill()
        child.process.wait()
