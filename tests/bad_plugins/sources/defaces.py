"""Alters what users get, and then ends the process."""
# kind: hooks

import sys

from jackfield.interfaces.hooks import hookimpl


class Bad:
    """An observer."""

    @hookimpl
    def request_finished(self, output):
        """Deface the answer."""
        output.outputs[0].token_ids.clear()
        object.__setattr__(output.outputs[0], "text", "defaced")
        sys.exit(0)
