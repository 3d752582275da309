"""Scheduling policies: which request is admitted next, and which is preempted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from jackfield.interfaces.card import Card


class QueuedRequest(Protocol):
    """What a policy may read of a request. A policy changes nothing."""

    @property
    def request_id(self) -> str:
        """Unique among open requests."""

    @property
    def priority(self) -> int:
        """Lower is more urgent; 0 if the user gave none."""

    @property
    def arrival(self) -> int:
        """Running number: a higher number arrived later. A preempted request keeps its number."""

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt."""

    @property
    def num_output_tokens(self) -> int:
        """Tokens drawn so far; more than 0 for a request that was preempted."""

    @property
    def salt(self) -> str:
        """Requests with different salts share no cached blocks. The part before the first slash is the tenant."""

    @property
    def turn(self) -> float:
        """Tokens that the request's tenant was given or promised before this request. An idle tenant saves nothing
        up.
        """


class SchedulingPolicy(Card):
    """Orders requests by a key. The key is computed when a request arrives or returns, never per token."""

    @abstractmethod
    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The waiting request with the smallest key is admitted first. Equal keys go by arrival."""

    def preemption_key(self, request: QueuedRequest) -> tuple[float, ...]:
        """The running request with the largest key is preempted first. Default: the admission key."""
        return self.admission_key(request)
