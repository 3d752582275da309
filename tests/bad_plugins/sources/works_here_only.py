"""Fails in the process of a worker, where nobody looked."""

import sys

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound in the parent."""

    def create_worker(self, context):
        """Fail where the executor's child runs."""
        if "jackfield.executor.child" in sys.modules:
            raise ImportError("libacme.so.3: cannot open shared object file")
        return super().create_worker(context)
