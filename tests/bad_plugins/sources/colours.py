"""Raises with what would clear a terminal."""

raise RuntimeError("\x1b[2J no luck \u202e")
