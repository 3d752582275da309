"""The policies that ship with the core."""

from __future__ import annotations

from jackfield.interfaces.policy import QueuedRequest, SchedulingPolicy


class FcfsPolicy(SchedulingPolicy):
    """First come, first served; the newest request is preempted first."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By arrival."""
        return (request.arrival,)


class PriorityPolicy(SchedulingPolicy):
    """Lower priority numbers first, equal ones by arrival; the least urgent request is preempted first."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By priority, then by arrival."""
        return (request.priority, request.arrival)


class FairPolicy(SchedulingPolicy):
    """Tenants get equal numbers of tokens while they wait for each other; priorities do not count."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By the tokens that the tenant had before, then by arrival."""
        return (request.turn, request.arrival)
