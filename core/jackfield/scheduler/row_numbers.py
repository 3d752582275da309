"""The numbers of a worker's rows: which rows are free, and which the worker must remove."""

from __future__ import annotations

from collections.abc import Sequence


class RowNumbers:
    """Rows 0 to max_rows - 1. A row is free at once: a worker removes rows before it makes new ones."""

    def __init__(self, max_rows: int) -> None:
        self._free = list(range(max_rows))[::-1]
        self._removed: list[int] = []

    @property
    def num_free(self) -> int:
        """Rows that can be taken."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """Take `count` free rows. The caller has checked `num_free`."""
        return [self._free.pop() for _ in range(count)]

    def leave(self, *rows: int, is_told: bool = True) -> None:
        """Give rows back. `is_told`: a plan that was sent names the rows, so the worker must remove them."""
        self._free += rows
        if is_told:
            self._removed += rows

    def empty(self, row: int) -> None:
        """Let the worker remove a row that keeps its owner. A later plan, or the same plan, makes the row anew."""
        self._removed.append(row)

    def take_removed(self) -> Sequence[int]:
        """Rows that the next plan must list as removed."""
        removed, self._removed = self._removed, []
        return removed
