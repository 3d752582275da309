"""Finds marks in a text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, marks: Sequence[str]) -> tuple[str, str | None, str]:
    """The text before the first mark, the mark, and the text after it.

    Without a mark: the text that cannot belong to a mark, None, and the rest, which may be the beginning of a mark.
    """
    found = [(at, mark) for mark in marks if (at := text.find(mark)) >= 0]
    if found:
        at, mark = min(found)
        return text[:at], mark, text[at + len(mark) :]
    held = held_back(text, marks)
    end = len(text) - held
    return text[:end], None, text[end:]


def held_back(text: str, marks: Sequence[str]) -> int:
    """Number of characters at the end of `text` that may be the beginning of a mark."""
    longest = max(map(len, marks)) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
