"""Scheduling policies: who is admitted next, and who makes room."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from jackfield.interfaces.card import Card


class QueuedRequest(Protocol):
    """What a policy may know of a request."""

    request_id: str
    priority: int
    arrival: int  # running number
    num_prompt_tokens: int
    num_output_tokens: int
    salt: str  # tenant


class SchedulingPolicy(Card):
    """Orders requests by a key. A policy is asked once a request arrives or returns, never per token."""

    @abstractmethod
    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The waiting request with the smallest key is admitted first. Ties go by arrival."""

    def preemption_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The running request with the largest key makes room first. Default: the admission key."""
        return self.admission_key(request)
