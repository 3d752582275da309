"""The queue of requests that are not in a row, ordered by the policy."""

from __future__ import annotations

import heapq

from jackfield.scheduler.policy_keys import PolicyKeys
from jackfield.scheduler.request import Request, Stage


class WaitingQueue:
    """A heap by admission key, then arrival. Withdrawn requests are dropped when they come to the top.

    A request that shares its parent's prompt is held with the parent until that prompt is planned. The parent stands
    before it in the queue or has a row, so the request is never held for good.
    """

    def __init__(self, keys: PolicyKeys) -> None:
        self._keys = keys
        self._heap: list[tuple[tuple[float, ...], int, Request]] = []
        self._num_waiting = 0

    def __len__(self) -> int:
        return self._num_waiting

    def add(self, request: Request) -> None:
        """Queue a request that has its key, or hold it with its parent."""
        self._num_waiting += 1
        parent = request.parent
        if parent is not None and parent.stage in (Stage.WAITING, Stage.PREFILLING):
            request.stage = Stage.HELD
            parent.held_siblings.append(request)
        else:
            self._push(request)

    def put_back(self, request: Request) -> None:
        """Queue a preempted request by its new key."""
        self._num_waiting += 1
        self._keys.renew(request)
        self._push(request)

    def first(self) -> Request | None:
        """The request to admit next. It stays in the queue."""
        heap = self._heap
        while heap and heap[0][2].is_finished:
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def remove_first(self) -> None:
        """Take out what `first` returned."""
        heapq.heappop(self._heap)
        self._num_waiting -= 1

    def withdraw(self, request: Request) -> None:
        """Forget a waiting or held request that has ended."""
        self._num_waiting -= 1
        if request.stage is Stage.HELD and request.parent is not None:
            request.parent.held_siblings.remove(request)

    def release_siblings(self, parent: Request) -> None:
        """Queue the requests that were held with `parent`."""
        for sibling in parent.held_siblings:
            self._push(sibling)
        parent.held_siblings = []

    def _push(self, request: Request) -> None:
        request.stage = Stage.WAITING
        heapq.heappush(self._heap, (request.admission_key, request.arrival, request))
