"""Standard output belongs to the answer: what plugins print while they are asked goes to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TextIO

_STDOUT, _STDERR = 1, 2  # file descriptors


class _Switch:
    """Counts who is inside: the first that comes switches, the last that leaves puts it back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._num_inside = 0
        self._stdout: TextIO = sys.stdout
        self._descriptor: int | None = None

    def enter(self) -> None:
        with self._lock:
            self._num_inside += 1
            if self._num_inside == 1:
                self._stdout, self._descriptor = sys.stdout, _switched()
                sys.stdout = sys.stderr

    def leave(self) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside:
                return
            sys.stdout = self._stdout
            if self._descriptor is not None:
                os.dup2(self._descriptor, _STDOUT)
                os.close(self._descriptor)


_switch = _Switch()  # a process has one standard output


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Send what is printed here to standard error, also what native code and child processes print.

    Engines may be opened in several threads at once.
    """
    _switch.enter()
    try:
        yield
    finally:
        _switch.leave()


def _switched() -> int | None:
    """A copy of the descriptor, which now leads to standard error; None where one of them is closed."""
    with suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()  # what was printed before stays before
    with suppress(OSError):
        kept = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
        return kept
    return None
