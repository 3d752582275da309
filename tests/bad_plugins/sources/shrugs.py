"""Answers a check with a word."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its check."""

    def check(self, need, facts):
        """Return what is no tuple of reasons."""
        return "fine"
