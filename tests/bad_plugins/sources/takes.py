"""Takes an accelerator when it is imported: stands in for a torch that was told to."""

import sys
import types

sys.modules["torch"] = types.SimpleNamespace(
    cuda=types.SimpleNamespace(is_initialized=lambda: True)
)

from jackfield_testing.platform import ReferencePlatform  # noqa: E402


class Bad(ReferencePlatform):
    """Sound but for its import."""
