"""The policies that ship with the core."""

from __future__ import annotations

from jackfield.interfaces.policy import QueuedRequest, SchedulingPolicy


class FcfsPolicy(SchedulingPolicy):
    """First come, first served; the newest request makes room."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By arrival."""
        return (request.arrival,)


class PriorityPolicy(SchedulingPolicy):
    """Lower priority numbers first, by arrival among equals; the least urgent request makes room."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By priority, then by arrival."""
        return (request.priority, request.arrival)


class FairPolicy(SchedulingPolicy):
    """Tenants get equal numbers of tokens while they wait for each other; priorities do not count."""

    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """By what the tenant had before, then by arrival."""
        return (request.turn, request.arrival)
