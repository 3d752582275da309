"""Raises when it is imported."""

raise RuntimeError("no luck today")
