"""Has defaults for settings that do not exist."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its defaults."""

    def defaults(self, facts):
        """Return an invention."""
        return {"cache.blok_size": 16}
