"""Does nothing bad."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """What the name does not say."""

    only_named = False
    precedence = 1

    def probe(self):
        """A fact."""
        return {"device": "sound"}
