"""States a precedence that no number can be compared with."""

from jackfield.testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its precedence."""

    precedence = "high"
