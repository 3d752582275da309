"""Marks in a text that comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, marks: Sequence[str]) -> tuple[str, str | None, str]:
    """The text before the first mark, the mark, and what follows it.

    Without a mark: the text that is surely before any, None, and the rest, which may be the beginning of one.
    """
    found = [(at, mark) for mark in marks if (at := text.find(mark)) >= 0]
    if found:
        at, mark = min(found)
        return text[:at], mark, text[at + len(mark) :]
    held = held_back(text, marks)
    end = len(text) - held
    return text[:end], None, text[end:]


def held_back(text: str, marks: Sequence[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a mark."""
    longest = max(map(len, marks)) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
