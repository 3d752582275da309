"""Keeps standard output for answers: what plugins print in between goes to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TextIO

_STDOUT, _STDERR = 1, 2  # file descriptors
_lock = Lock()
# Where standard output led before, once for each thread that is inside.
_inside: list[tuple[TextIO, int | None]] = []


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Send everything that is printed meanwhile to standard error, also by native code and child processes.

    Engines may be opened in several threads at once. The first thread switches, the last one switches back.
    """
    with _lock:
        _inside.append(_inside[0] if _inside else (sys.stdout, _switched()))
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _lock:
            stdout, descriptor = _inside.pop()
            if not _inside:
                sys.stdout = stdout
                if descriptor is not None:
                    os.dup2(descriptor, _STDOUT)
                    os.close(descriptor)


def _switched() -> int | None:
    """A copy of the descriptor, which now leads to standard error. None if one of the two is closed."""
    with suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()  # keeps earlier output in its order
    with suppress(OSError):
        kept = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
        return kept
    return None
