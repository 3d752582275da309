"""Writes harmless warnings when it is imported."""

import sys

from jackfield_testing.platform import ReferencePlatform

for number in range(8):
    sys.stderr.write(f"chats: harmless warning {number}\n")


class Bad(ReferencePlatform):
    """Sound but for its import."""
