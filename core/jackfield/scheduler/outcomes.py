"""Applies the result of a step to its requests: keeps tokens, finds ends, and offers blocks for prefix hits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import compress, islice

from jackfield.discovery.loading import FAULTS
from jackfield.grammar import GrammarState
from jackfield.kv_cache import BlockManager, BlockTable
from jackfield.request import FinishReason
from jackfield.scheduler.drafting import settle_draft
from jackfield.scheduler.plan_builder import StepInFlight
from jackfield.scheduler.request import Request
from jackfield.scheduler.results import keep_logprobs, keep_vectors
from jackfield.scheduler.running import RunningRequests
from jackfield.step import StepResult

logger = logging.getLogger(__name__)


class Outcomes:
    """Applies results, in the order of the plans. A request that ended while a step was in flight ignores that step."""

    def __init__(
        self, blocks: BlockManager, running: RunningRequests, finish: Callable[..., None]
    ) -> None:
        self._blocks = blocks
        self._running = running
        self._finish = finish  # Scheduler.finish

    def apply(self, step: StepInFlight, result: StepResult) -> list[Request]:
        """Apply a result. Returns the requests that got a token or ended."""
        moved = self._end_failed(step, result.errors) if result.errors else []
        if result.logprobs or result.prompt_logprobs:
            keep_logprobs(step, result)
        for prefill in step.prefills:
            self._remember(prefill.request, prefill.table, prefill.num_computed)
        if result.vectors:
            moved += keep_vectors(step, result)
            for request in moved:
                self._finish(request, FinishReason.STOP)
        if step.drafts or step.plan.awaits_late:
            moved += self._confirm(step, result)
        else:
            moved += self._append(step, result)
        return moved

    def _append(self, step: StepInFlight, result: StepResult) -> Sequence[Request]:
        """Append one token for each row that drew. Only rows with an event need a closer look."""
        drawn = step.requests
        if step.prefills:
            drawn = list(compress(drawn, step.plan.samples))
        void = []  # places of requests that ended while this step was in flight
        for request, token_id in zip(drawn, result.token_ids, strict=True):
            token_ids = request.token_ids
            if len(token_ids) < request.check_at and token_id not in request.stop_ids:
                token_ids.append(token_id)
            elif request.finish_reason is None:
                token_ids.append(token_id)
                self._check(request, token_id)
            else:
                void.append(request)
        return [request for request in drawn if request not in void] if void else drawn

    def _confirm(self, step: StepInFlight, result: StepResult) -> list[Request]:
        """Keep what rows drew, up to a token that ends them. A row that drew less than was planned goes on from there."""
        counts = result.counts or [1] * len(result.token_ids)
        drawn = zip(compress(step.requests, step.plan.samples), counts, strict=True)
        counted = dict(drawn)
        for draft in step.drafts:
            if settle_draft(draft, counted[draft.request]):
                self._running.return_to_decoding(draft.request, step.plan.step_id)
        moved = []
        token_ids = iter(result.token_ids)
        for request, count in counted.items():
            tokens = tuple(islice(token_ids, count))
            if request.finish_reason is None:
                self._keep(request, tokens)
                moved.append(request)
        return moved

    def _keep(self, request: Request, tokens: Sequence[int]) -> None:
        for token_id in tokens:
            request.token_ids.append(token_id)
            if len(request.token_ids) > request.check_at or token_id in request.stop_ids:
                self._check(request, token_id)
            if request.grammar is not None and not request.is_finished:
                self._follow(request, request.grammar, token_id)
            if request.finish_reason is not None:
                break
        if request.logprobs is not None:
            del request.logprobs[request.num_output_tokens :]

    def _follow(self, request: Request, grammar: GrammarState, token_id: int) -> None:
        """Move on in the grammar of an output. If no token may follow, the output ends."""
        try:
            is_allowed, is_finished = grammar.accept(token_id), grammar.is_finished
        except FAULTS as error:
            logger.error("request %s: %s", request.request_id, error, exc_info=error)
            is_allowed, is_finished = False, False
        if not is_allowed:
            told = f"its grammar does not take token {token_id}"
            self._finish(request, FinishReason.ERROR, error=told)
        elif is_finished:
            self._finish(request, FinishReason.STOP)

    def _check(self, request: Request, token_id: int) -> None:
        """Handle a token that filled a block or may be the last one."""
        num_tokens = len(request.token_ids)
        if num_tokens > request.check_at and request.table is not None:
            self._remember(request, request.table, num_tokens - 1)  # the new token is not computed
        sampling = request.sampling
        if token_id in request.stop_ids and request.num_output_tokens >= sampling.min_tokens:
            named = token_id in sampling.stop_token_ids
            self._finish(request, FinishReason.STOP, token_id if named else None)
        elif num_tokens >= request.max_tokens:
            self._finish(request, FinishReason.LENGTH)

    def _remember(self, request: Request, table: BlockTable, num_computed: int) -> None:
        """Offer full blocks for prefix hits, also the blocks of an aborted or preempted request."""
        if request.finish_reason is FinishReason.ERROR or not self._blocks.prefix_caching:
            return
        self._blocks.remember(table, request.hashes, request.token_ids, num_computed)
        if request.table is table:
            next_full = (table.num_remembered + 1) * self._blocks.block_size
            request.check_at = min(request.max_tokens - 1, next_full)

    def _end_failed(self, step: StepInFlight, errors: Mapping[int, str]) -> list[Request]:
        failed = []
        for position, error in errors.items():
            request = step.requests[position]
            if not request.is_finished:
                self._finish(request, FinishReason.ERROR, error=error)
                failed.append(request)
        return failed
