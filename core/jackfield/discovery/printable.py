"""Makes text of others safe for a terminal and a log: no control characters, limited length."""

from __future__ import annotations

MAX_TEXT = 2000  # most characters of one message or traceback of a plugin
_KEPT = "\n\t"


def printable(text: str, max_length: int | None = None) -> str:
    """`text` with control, bidirectional and other invisible characters escaped. A too long text loses its middle."""
    if max_length is not None and len(text) > max_length:
        half = max_length // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
