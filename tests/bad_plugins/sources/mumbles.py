"""Finds facts that no file can hold."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its facts."""

    only_named = False
    precedence = 5

    def probe(self):
        """Return an object."""
        return {"device": object()}
