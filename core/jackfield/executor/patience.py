"""Says what a program waits for, if it takes long: a plugin that hangs must not look like an engine that hangs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

logger = logging.getLogger(__name__)
PATIENCE_S = 30.0  # between two lines


def tell_waiting(waited_s: float, what: str) -> None:
    """One line."""
    logger.warning("waiting %.0f s for %s", waited_s, what)


@contextmanager
def patience(what: str, every_s: float = PATIENCE_S) -> Iterator[None]:
    """Log a line every so often while what happens here takes its time. Costs a thread: not for steps."""
    is_over = Event()

    def watch() -> None:
        waited_s = every_s
        while not is_over.wait(every_s):
            tell_waiting(waited_s, what)
            waited_s += every_s

    watcher = Thread(target=watch, name="jackfield-patience", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
