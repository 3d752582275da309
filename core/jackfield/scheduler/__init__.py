"""Scheduling: requests, the queue, policies, and the scheduler that makes one step plan after the other."""

from jackfield.scheduler.request import Request
from jackfield.scheduler.scheduler import Scheduler
from jackfield.scheduler.stats import SchedulerStats

__all__ = ["Request", "Scheduler", "SchedulerStats"]
