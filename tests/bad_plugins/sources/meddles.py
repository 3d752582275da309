"""Changes the settings of the engine."""

from jackfield_testing.platform import ReferencePlatform


class Bad(ReferencePlatform):
    """Sound but for its choices."""

    def choices(self, spec, config, facts):
        """Meddle, although the settings are frozen."""
        object.__setattr__(config.scheduler, "max_rows", 1)
        return super().choices(spec, config, facts)
