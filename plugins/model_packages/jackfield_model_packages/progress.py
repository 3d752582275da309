"""One line on a terminal that shows the progress of a download. Elsewhere only the beginning and the end are printed."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_INTERVAL_S = 0.1
_MEGABYTE = 1_000_000


class ProgressLine:
    """`downloading NAME: 12 of 93 MB`, rewritten in place."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._started_s = time.monotonic()
        self._written_s = 0.0
        self._done_bytes = 0
        if not self._is_terminal:
            self._stream.write(f"downloading {what}\n")
            self._stream.flush()

    def update(self, done_bytes: int, all_bytes: int) -> None:
        """Show the progress, at most ten times a second."""
        self._done_bytes = done_bytes
        now = time.monotonic()
        if self._is_terminal and now - self._written_s >= _INTERVAL_S:
            self._written_s = now
            total = f" of {all_bytes / _MEGABYTE:.0f}" if all_bytes else ""
            self._show(f"downloading {self._what}: {done_bytes / _MEGABYTE:.0f}{total} MB")

    def end(self, verdict: str) -> None:
        """Print a last line."""
        seconds = time.monotonic() - self._started_s
        self._show(f"{verdict} {self._what} ({seconds:.1f} s)")
        self._stream.write("\n")
        self._stream.flush()

    def _show(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._is_terminal else text)
        self._stream.flush()
