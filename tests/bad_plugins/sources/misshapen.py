"""Has a method that cannot be called as the contract does."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for `check`."""

    def check(self):
        """Forget both arguments."""
        return ()
