"""Reads address 0 in its probe."""

import ctypes

from jackfield.testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its probe."""

    def probe(self):
        """Crash."""
        ctypes.string_at(0)
