"""Prints what nobody asked for, wherever it can."""

import os

from jackfield_testing.platform import ReferencePlatform

print("chatter of python")
os.write(1, b"chatter of native code\n")


class Bad(ReferencePlatform):
    """Sound but for what it says."""

    def check(self, need, facts):
        """Say more."""
        print("chatter of a check")
        return super().check(need, facts)

    def create_worker(self, context):
        """Say more in the worker's process."""
        print("chatter of a worker", flush=True)
        return super().create_worker(context)
