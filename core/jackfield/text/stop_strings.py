"""Finds stop strings across the borders of tokens, in text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Lets text pass until it contains a stop string. Holds back text that may be the beginning of one.

    The result does not depend on how the text is cut into pieces. The stop string that is complete first counts; if
    several end at the same place, the longest.
    """

    def __init__(self, stops: Sequence[str], *, include_stop: bool = False) -> None:
        self._stops = tuple(stops)
        self._include_stop = include_stop
        self._held = ""  # the longest end of the text with which a stop string begins

    def push(self, delta: str) -> tuple[str, str | None]:
        """The text that may be shown, and the stop string if one is complete; then no text may follow."""
        text = self._held + delta
        found = [(start + len(s), start, s) for s in self._stops if (start := text.find(s)) >= 0]
        if found:
            end, start, stop = min(found)
            self._held = ""
            return text[: end if self._include_stop else start], stop
        shown = len(text) - max(self._num_begun(text, stop) for stop in self._stops)
        self._held = text[shown:]
        return text[:shown], None

    def flush(self) -> str:
        """The text that was held back and became no stop string."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _num_begun(text: str, stop: str) -> int:
        """Number of characters at the end of `text` with which `stop` begins."""
        longest = min(len(text), len(stop) - 1)
        return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
