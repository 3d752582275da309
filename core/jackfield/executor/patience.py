"""Logs what a program waits for if it takes long, so that a hanging plugin does not look like a hanging engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

logger = logging.getLogger(__name__)
PATIENCE_S = 30.0  # time between two lines in the log


def tell_waiting(waited_s: float, what: str) -> None:
    """Log one line."""
    logger.warning("waiting %.0f s for %s", waited_s, what)


@contextmanager
def patience(what: str, every_s: float = PATIENCE_S) -> Iterator[None]:
    """Log a line every `every_s` while the body runs. Costs a thread, so it is not for steps."""
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
