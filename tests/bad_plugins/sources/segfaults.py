"""Reads address 0 in its probe."""

import ctypes

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its probe."""

    only_named = False
    precedence = 5

    def probe(self):
        """Crash."""
        ctypes.string_at(0)
