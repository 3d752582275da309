"""Aborts in its probe, as a C++ library does that throws."""

import os

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its probe."""

    only_named = False
    precedence = 5

    def probe(self):
        """Crash."""
        os.abort()
