"""Raises when it is imported, whatever kind of plugin it is."""

raise RuntimeError("no luck today")
