"""The state of a process that others rely on, and that an import leaves alone. What it adds is no change."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from jackfield.environment import all_variables, device_variables


class ProcessState:
    """Of this process, as it is when this is made."""

    def __init__(self) -> None:
        self._variables = all_variables()
        self._device_variables = device_variables()
        self._folder = Path.cwd()
        self._path = list(sys.path)
        self._handlers = _handlers()
        self._recursion_limit = sys.getrecursionlimit()
        self._umask = _umask()
        self._log_level = logging.root.manager.disable

    def changes(self) -> list[str]:
        """What is otherwise now, each as the end of a sentence that begins with "it"."""
        return list(self._changes())

    def _changes(self) -> Iterator[str]:
        now = all_variables()
        changed = {name for name, value in self._variables.items() if now.get(name) != value}
        changed |= device_variables().keys() - self._device_variables.keys()
        if changed:
            yield f"changed the environment variables {', '.join(sorted(changed)[:3])}"
        if Path.cwd() != self._folder:
            yield f"went to the folder {Path.cwd()}"
        if sys.path[: len(self._path)] != self._path:
            yield "changed sys.path, other than at its end"
        handlers = _handlers()
        if signals := [s.name for s, handler in self._handlers.items() if handlers[s] != handler]:
            yield f"set the handler of {', '.join(signals)}"
        if sys.getrecursionlimit() < self._recursion_limit:
            yield f"lowered the recursion limit to {sys.getrecursionlimit()}"
        if _umask() != self._umask:
            yield f"set the umask to {_umask():o}"
        if logging.root.manager.disable > self._log_level:
            yield "disabled logging"
        if names := _lasting_threads():
            yield f"started the thread {names[0]!r}, for whose end the process would wait"
        if _has_children():
            yield "started a process and did not wait for its end"


def _handlers() -> dict[signal.Signals, object]:
    return {s: signal.getsignal(s) for s in signal.Signals}


def _umask() -> int:
    """It can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _lasting_threads() -> list[str]:
    main = threading.main_thread()
    return [t.name for t in threading.enumerate() if t is not main and not t.daemon]


def _has_children() -> bool:
    """Those that have ended and that nobody waited for count too, and are reaped: how quick they were is chance."""
    is_any = False
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            is_any = True
    except ChildProcessError:
        return is_any
    return True
