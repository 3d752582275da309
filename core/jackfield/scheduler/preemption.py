"""Blocks for running requests. If none is free, a running request is preempted and gives back its blocks."""

from __future__ import annotations

from jackfield.kv_cache import BlockManager
from jackfield.scheduler.beam_search import Beam
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.request import Request
from jackfield.scheduler.running import RunningRequests
from jackfield.scheduler.searches import Searches
from jackfield.scheduler.waiting_queue import WaitingQueue


class Preemption:
    """Preempts the running request with the largest preemption key. It is computed again later."""

    def __init__(
        self,
        blocks: BlockManager,
        running: RunningRequests,
        waiting: WaitingQueue,
        searches: Searches,
    ) -> None:
        self._blocks = blocks
        self._running = running
        self._waiting = waiting
        self._searches = searches
        self.count = 0

    def hold_blocks(self, plan: PlanBuilder, request: Request, num_tokens: int) -> bool:
        """Get the blocks for the next `num_tokens` of a running request. False if it cannot run in this step."""
        assert request.table is not None
        start, stop = request.num_planned - request.num_guessed, request.num_planned + num_tokens
        while True:
            grown = self._blocks.extend(request.table, start, stop)
            if grown is not None:
                plan.append_blocks(request.row, grown)
                self._running.set_next_event(request, stop)
                return True
            victim = self.make_room(plan)
            if victim is None:  # waiting costs less than computing again
                plan.stalled.add(request)
                return False
            if victim is request:
                return False

    def make_room(self, plan: PlanBuilder) -> Request | None:
        """Preempt the request that the policy names. If blocks are about to become free, do nothing and return None."""
        plan.is_short_of_blocks = True
        if self._blocks.has_returning or self._running.num_draining:
            return None
        candidates = (*self._running, *self._searches.leaders(plan))
        victim: Request = max(candidates, key=lambda r: (r.preemption_key, r.arrival))
        self.preempt(plan, victim)
        return victim

    def preempt(self, plan: PlanBuilder, request: Request) -> None:
        """Give back all of a running request and queue it again. Its tokens in flight are still kept when they arrive."""
        if isinstance(request, Beam):
            request = self._searches.begin_again(plan, request)
        else:
            plan.withdraw(request)
            self._running.leave(request)
        request.num_planned = 0
        request.num_preemptions += 1
        request.check_at = request.max_tokens - 1
        request.waits_for_step = plan.step_id - 1
        self.count += 1
        self._waiting.put_back(request)
