"""Finds facts that no file can hold."""

from jackfield.testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its facts."""

    def probe(self):
        """Return an object."""
        return {"device": object()}
