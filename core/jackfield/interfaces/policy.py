"""Scheduling policies: who is admitted next, and who makes room."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from jackfield.interfaces.card import Card


class QueuedRequest(Protocol):
    """What a policy may know of a request. It reads only."""

    @property
    def request_id(self) -> str:
        """No other open request has it."""

    @property
    def priority(self) -> int:
        """Lower is more urgent; 0 unless the user said otherwise."""

    @property
    def arrival(self) -> int:
        """Running number: higher came later. Kept by a request that made room and waits again."""

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt."""

    @property
    def num_output_tokens(self) -> int:
        """Tokens drawn so far; more than 0 for a request that made room."""

    @property
    def salt(self) -> str:
        """Requests of different ones share no cached blocks; the tenant is what stands before its first slash."""

    @property
    def turn(self) -> float:
        """Tokens that its tenant was given or promised before it; whoever was away saves nothing up."""


class SchedulingPolicy(Card):
    """Orders requests by a key. A policy is asked once a request arrives or returns, never per token."""

    @abstractmethod
    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The waiting request with the smallest key is admitted first. Ties go by arrival."""

    def preemption_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The running request with the largest key makes room first. Default: the admission key."""
        return self.admission_key(request)
