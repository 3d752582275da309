"""A time limit for Python code that may not end by itself, on a thread other than the main one."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(Exception):  # raised from another thread
    """The time is over."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in this thread, between two instructions of Python, when the time is over."""
    thread_id, lock, is_over = threading.get_ident(), threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not is_over:
                _raise_in(thread_id)

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:  # after this nothing is raised any more
            is_over = True
        timer.cancel()


def _raise_in(thread_id: int) -> None:
    identifier, error = ctypes.c_ulong(thread_id), ctypes.py_object(OutOfTime)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, error)
