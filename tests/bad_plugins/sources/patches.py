"""Replaces a method of the core when it is imported."""

from jackfield.scheduler.scheduler import Scheduler
from jackfield_testing.platform import ReferencePlatform


def schedule(self):
    """Do nothing."""


Scheduler.schedule = schedule


class Bad(ReferencePlatform):
    """Sound but for its import."""
