"""The keys that a policy gives to requests, and what happens if a policy fails to give one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from numbers import Real
from typing import Any

from jackfield.discovery.loading import FAULTS
from jackfield.errors import RequestError
from jackfield.interfaces.policy import QueuedRequest, SchedulingPolicy
from jackfield.scheduler.request import Request

logger = logging.getLogger(__name__)
Key = tuple[float, ...]


class PolicyKeys:
    """Asks a policy for keys. If it fails for a new request, the request is refused. If it fails for a known request, that
    keeps its last key, because the failure must not cost an answer.
    """

    def __init__(self, policy: SchedulingPolicy, name: str = "") -> None:
        self._policy = policy
        self._name = name or f"the scheduling policy {type(policy).__qualname__}"
        self._has_failed = False

    def set_first(self, request: Request) -> None:
        """Give a new request its key. Raises RequestError."""
        try:
            request.admission_key = _key(self._policy.admission_key, request)
        except FAULTS as error:
            raise RequestError(
                f"request {request.request_id!r} was not queued: {self._name} has no admission key for it: "
                f"{type(error).__name__}: {error}"
            ) from error

    def renew(self, request: Request) -> None:
        """Give a request that returns to the queue a new key."""
        request.admission_key = self._or(request.admission_key, self._policy.admission_key, request)

    def set_preemption(self, request: Request) -> None:
        """Give a request that begins to run its preemption key."""
        request.preemption_key = self._or(
            request.admission_key, self._policy.preemption_key, request
        )

    def _or(self, known: Key, ask: Callable[[QueuedRequest], Key], request: Request) -> Key:
        try:
            return _key(ask, request)
        except FAULTS:
            if not self._has_failed:  # reported once: the next failure would be the same
                self._has_failed = True
                logger.exception("%s failed; requests keep the keys that they have", self._name)
            return known


def _key(ask: Callable[[QueuedRequest], Key], request: Request) -> Key:
    """Ask for a key. Raises TypeError if the key cannot be compared with other keys."""
    key: Any = ask(request)
    # NaN is not equal to itself and cannot be ordered.
    if not isinstance(key, tuple) or not all(isinstance(x, Real) and x == x for x in key):
        raise TypeError(f"a key must be a tuple of numbers, got {key!r:.200}")
    return tuple(key)
