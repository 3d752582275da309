"""States a precedence that no number can be compared with."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its precedence."""

    precedence = "high"
