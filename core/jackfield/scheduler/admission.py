"""From the queue to a row: which request is next, which of its tokens are cached, and whether its blocks are free."""

from __future__ import annotations

import time

from jackfield.kv_cache import BlockManager, PrefixHit
from jackfield.scheduler.lengths import PromptChunks
from jackfield.scheduler.plan_builder import PlanBuilder
from jackfield.scheduler.policy_keys import PolicyKeys
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.running import RunningRequests
from jackfield.scheduler.turns import Turns
from jackfield.scheduler.waiting_queue import WaitingQueue


class Admission:
    """Takes requests from the queue strictly in its order: if one does not fit, no other overtakes it."""

    def __init__(
        self,
        blocks: BlockManager,
        running: RunningRequests,
        waiting: WaitingQueue,
        keys: PolicyKeys,
        turns: Turns,
        chunks: PromptChunks,
        watermark: float,  # share of the blocks that stays free while other requests run
    ) -> None:
        self._blocks = blocks
        self._running = running
        self._waiting = waiting
        self._keys = keys
        self._turns = turns
        self._chunks = chunks
        self._spare = [int(watermark * pool.num_blocks) for pool in blocks.pools]
        self._no_spare = [0] * len(self._spare)
        # The request that did not fit, and how many blocks were free then.
        self._refused: Request | None = None
        self._refused_with = 0
        self.num_prompt_tokens = 0
        self.num_cached_tokens = 0

    def admit_waiting(self, plan: PlanBuilder, resolved_step: int) -> None:
        """Give rows to waiting requests as long as budget, rows and blocks last."""
        rows = self._running.rows
        while plan.budget and rows.num_free:
            request = self._waiting.first()
            if request is None or request.waits_for_step > resolved_step:
                return
            if request.num_rows > rows.num_free:
                return
            if self._still_refused(request) or not self._chunks.may_begin(plan, request):
                return
            if not self._admit(plan, request):
                self._refused, self._refused_with = request, self._blocks.num_free
                return
            self._waiting.remove_first()

    def _admit(self, plan: PlanBuilder, request: Request) -> bool:
        """Give a waiting request a row, its cached tokens, and blocks for all of its tokens, if they fit."""
        hit = self._find_hit(request)
        chunk = self._chunks.next(plan, request, hit.num_tokens, hit.stops)
        spare = self._spare if len(self._running) else self._no_spare
        table = self._blocks.allocate(hit, len(request.token_ids), chunk, spare, plan.copies)
        if table is None:
            return False
        self._running.admit(request, table, hit.num_tokens)
        self._turns.admitted(request)
        self._keys.set_preemption(request)
        if request.num_preemptions == 0:
            request.admitted_s = time.monotonic()
            request.num_cached_tokens = hit.num_tokens
            self.num_prompt_tokens += request.num_prompt_tokens
            self.num_cached_tokens += hit.num_tokens
        plan.add_row(request, table)
        plan.add_prefill(request, table, chunk)
        return True

    def _still_refused(self, request: Request) -> bool:
        """True if no block became free since `request` did not fit. Then no search for prefix hits is needed."""
        return request is self._refused and self._blocks.num_free <= self._refused_with

    def _find_hit(self, request: Request) -> PrefixHit:
        """Tokens that need not be computed: the prompt of a running sibling, or a hit in the prefix cache."""
        if request.pooling is not None and request.pooling.needs_all_tokens:
            return self._blocks.no_prefix()
        if request.prompt_logprobs is not None:
            if len(request.prompt_logprobs) < request.num_prompt_tokens:
                # The log probabilities of a preempted prompt start again.
                request.prompt_logprobs = [None]
                return self._blocks.no_prefix()
        hit = self._blocks.find_prefix(request.hashes, request.token_ids)
        parent = request.parent
        if parent is not None and parent.stage in (Stage.DECODING, Stage.DRAINING):
            assert parent.table is not None
            fork = self._blocks.fork_prefix(parent.table, request.num_prompt_tokens - 1)
            if fork is not None and fork.num_tokens > hit.num_tokens:
                return fork
        return hit
