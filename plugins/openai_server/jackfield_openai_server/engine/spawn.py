"""Starts the interpreters in which engines run, and other programs that talk to the server through a socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import NamedTuple

# A fresh interpreter with the import path of this one, without the directory of a script in front.
_BOOTSTRAP = (
    "import json, sys; from importlib import import_module; sys.path[:] = json.loads(sys.argv[2]); "
    "import_module(sys.argv[3]).main()"
)
_ENGINE = "jackfield_openai_server.engine.child"


class Child(NamedTuple):
    """A process that waits for its first message, and our end of the connection. It ends when the connection is closed."""

    process: subprocess.Popen[bytes]
    connection: socket.socket


_ahead: list[Child] = []


def spawn(program: str = _ENGINE) -> Child:
    """Start a new child that runs `main` of a module."""
    ours, theirs = socket.socketpair()
    words = [str(theirs.fileno()), json.dumps(sys.path), program]
    command = [sys.executable, "-c", _BOOTSTRAP, *words]
    with theirs:
        # The child has a process group of its own: Ctrl-C in a terminal reaches only the server, which drains first.
        process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, process_group=0
        )
    ours.setblocking(False)
    return Child(process, ours)


def spawn_ahead() -> None:
    """Start the child that `take_child` returns, so that its imports run while the server's do."""
    _ahead.append(spawn())


def take_child() -> Child:
    """The child that was started ahead, otherwise a new one."""
    return _ahead.pop() if _ahead else spawn()


def end_ahead() -> None:
    """End a child that was started ahead and not taken."""
    while _ahead:
        child = _ahead.pop()
        child.connection.close()
        child.process.kill()
        child.process.wait()
