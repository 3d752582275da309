"""Extends nothing of ours."""


class Bad:
    """A class."""
