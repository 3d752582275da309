"""The scheduler: from waiting and running requests to one step plan after the other, and from results to tokens."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, islice

from jackfield.config import SchedulerSettings
from jackfield.discovery.loading import FAULTS
from jackfield.errors import RequestError
from jackfield.grammar import GrammarState
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.kv_cache import BlockManager, BlockTable, PrefixHit, cut_at_stop
from jackfield.request import FinishReason
from jackfield.scheduler.beam_search import Beam
from jackfield.scheduler.cohorts import Cohorts
from jackfield.scheduler.drafting import Drafting, open_draft, settle_draft
from jackfield.scheduler.lengths import set_lengths
from jackfield.scheduler.masks import Masks
from jackfield.scheduler.plan_builder import PlanBuilder, StepInFlight
from jackfield.scheduler.policy_keys import PolicyKeys
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.results import check_result, keep_logprobs, keep_vectors
from jackfield.scheduler.row_numbers import RowNumbers
from jackfield.scheduler.searches import Searches
from jackfield.scheduler.stats import SchedulerStats
from jackfield.scheduler.turns import Turns
from jackfield.scheduler.waiting_queue import WaitingQueue
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult

logger = logging.getLogger(__name__)


class Scheduler:
    """Decides what each step computes. Used by one thread.

    `schedule` may be called several times before `update`; results are applied in the order of the plans. The rules:

    - There is no prefill phase. In each step a request's computed tokens catch up with its tokens within the budget.
    - A token that is still on the worker is planned like any other; a stop that is found late voids later results.
    - A row is reused at once: a worker applies plans strictly in order, and `removed_rows` before `new_rows`.
      Blocks return only when the last step that names them was resolved (see BlockManager).
    - Running requests come first. If one lacks a block and none is about to return, the running request with the
      largest preemption key gives its blocks back and is computed again later, from prefix hits where possible.
    """

    def __init__(
        self,
        settings: SchedulerSettings,
        blocks: BlockManager,
        limits: StepLimits,
        policy: SchedulingPolicy,
        *,
        max_length: int,
        policy_name: str = "",  # for messages, with its distribution
        drafting: Drafting | None = None,  # None: no speculation
        num_cohorts: int = 1,
        vocab_size: int = 0,  # bits of a mask
    ) -> None:
        self._blocks = blocks
        self._keys = PolicyKeys(policy, policy_name)
        self._turns = Turns()
        self._drafting = drafting
        self._masks = Masks(vocab_size, self._lose)
        self._lost: list[Request] = []  # whose grammar failed, and that nobody was told of
        self._num_grammars = 0  # requests that are neither finished nor free in what they say
        self._max_length = max_length  # tokens of one request, prompt and output
        self._max_waiting = settings.max_waiting
        self._max_step_tokens = min(settings.max_step_tokens, limits.max_step_tokens)
        # Each running row can get a token in each step.
        self._max_rows = min(settings.max_rows, limits.max_rows, self._max_step_tokens)
        chunks = (self._max_step_tokens, settings.long_prefill_tokens, blocks.longest_chunk)
        self._max_chunk = min(chunk for chunk in chunks if chunk is not None)
        # Of a model that sees all tokens of a prompt at once; None: prompts may be cut.
        self._longest_prompt = self._max_step_tokens if blocks.whole_prompts else None
        self._spare = [int(settings.watermark * pool.num_blocks) for pool in blocks.pools]
        self._no_spare = [0] * len(self._spare)

        self._waiting = WaitingQueue(self._keys)
        self._refused: Request | None = None  # did not fit when so many blocks were free
        self._refused_with = 0
        self._prefilling: list[Request] = []
        self._cohorts = Cohorts(num_cohorts)
        self._num_draining = 0
        self._rows = RowNumbers(self._max_rows)
        self._searches = Searches(
            blocks,
            self._rows,
            self._waiting,
            leave_row=self._leave_row,
            stop_decoding=self._stop_decoding,
            vocab_size=vocab_size,
        )
        self._in_flight: deque[StepInFlight] = deque()
        self._next_step_id = 0
        self._resolved_step = -1
        self._next_arrival = 0
        self._num_preemptions = 0
        self._num_prompt_tokens = 0
        self._num_cached_tokens = 0

    # What is there

    @property
    def has_unfinished(self) -> bool:
        """True while a request waits or runs. Steps can be in flight beyond that; their results are void."""
        return self.num_running > 0 or self.num_waiting > 0

    @property
    def num_running(self) -> int:
        """Requests that have a row."""
        return self._max_rows - self._rows.num_free

    @property
    def num_waiting(self) -> int:
        """Requests in the queue, preempted ones included."""
        return len(self._waiting)

    @property
    def num_in_flight(self) -> int:
        """Steps that were planned and not yet updated."""
        return len(self._in_flight)

    @property
    def stats(self) -> SchedulerStats:
        """The figures of this moment."""
        return SchedulerStats(
            num_running=self.num_running,
            num_waiting=self.num_waiting,
            num_in_flight=self.num_in_flight,
            cache_usage=self._blocks.usage,
            num_preemptions=self._num_preemptions,
            num_prompt_tokens=self._num_prompt_tokens,
            num_cached_tokens=self._num_cached_tokens,
        )

    # From outside

    def add(self, *requests: Request) -> None:
        """Queue all of these requests, or none: RequestError where one can never run, the queue is full, or the
        policy fails.

        Siblings of one prompt are added together, the parent first.
        """
        for request in requests:
            set_lengths(
                request, self._max_length, self._blocks.longest_request, self._longest_prompt
            )
        outputs = requests
        if requests[0].sampling.beam_search is not None:
            requests = (self._searches.make_leader(requests, self._max_rows),)
        if self._max_waiting is not None and self.num_waiting + len(requests) > self._max_waiting:
            raise RequestError(
                f"request {requests[0].request_id!r} was not queued: it brings {len(requests)} outputs, "
                f"{self.num_waiting} wait already, and scheduler.max_waiting is {self._max_waiting}. "
                "Try again later, or raise scheduler.max_waiting"
            )
        for request in requests:
            request.arrival = self._next_arrival
            self._next_arrival += 1
            self._turns.arrived(request)
            self._keys.set_first(request)
        self._searches.add(outputs, requests[0])
        for request in requests:
            self._num_grammars += request.grammar is not None
            self._waiting.add(request)

    def finish(
        self,
        request: Request,
        reason: FinishReason,
        stop_reason: str | int | None = None,
        error: str | None = None,
    ) -> None:
        """End a request at any moment: an abort, a stop string, an error. Its results in flight are void."""
        if request.is_finished:
            return
        if search := self._searches.of(request):
            self._searches.end(search, reason, stop_reason, error)
            return
        request.finish_reason, request.stop_reason, request.error = reason, stop_reason, error
        self._num_grammars -= request.grammar is not None
        self._turns.ended(request)
        if request.stage in (Stage.WAITING, Stage.HELD):
            self._waiting.withdraw(request)
        else:
            self._leave_row(request)
        request.stage = Stage.FINISHED
        self._waiting.release_siblings(request)

    # Planning

    def schedule(self) -> StepPlan | None:
        """The next step, or None if nothing can run before a result arrives or a request is added."""
        plan = PlanBuilder(self._max_step_tokens)
        decoding = self._cohorts.next(self._resolved_step)
        self._continue_decoding(plan, decoding)
        if self._drafting is not None:
            self._add_drafts(plan, decoding, self._drafting)
        self._searches.plan(plan, self._make_room)
        self._continue_prefills(plan)
        if not plan.is_short_of_blocks:
            self._admit_waiting(plan)
        return self._launch(plan, decoding)

    def _continue_decoding(self, plan: PlanBuilder, decoding: list[Request]) -> None:
        """One token for each row that has caught up; only rows with an event need a closer look."""
        due = [r for r in decoding if r.num_planned >= r.next_event]
        # First those that are all planned: they are no victims, and their blocks will return.
        for request in due:
            if request.num_planned >= request.last_computed:
                self._cohorts.remove(request)
                request.stage = Stage.DRAINING
                self._num_draining += 1
        for request in due:
            if request.stage is Stage.DECODING:  # neither drained nor preempted
                self._hold_blocks(plan, request, 1)
        plan.budget -= len(decoding)

    def _add_drafts(
        self, plan: PlanBuilder, decoding: Sequence[Request], drafting: Drafting
    ) -> None:
        """Guesses for rows that decode, as far as budget and free blocks allow."""
        for request in decoding:
            if plan.budget <= 0 or plan.is_short_of_blocks:
                return
            if token_ids := drafting.draft(request, min(plan.budget, self._max_chunk - 1)):
                opened = open_draft(self._blocks, request, token_ids)
                if opened is None:
                    return
                draft, grown = opened
                plan.append_blocks(request.row, grown)
                plan.add_draft(draft)
                self._set_next_event(request)

    def _continue_prefills(self, plan: PlanBuilder) -> None:
        """The next chunk of each prompt that has begun, the oldest first."""
        for request in tuple(self._prefilling):
            if plan.budget == 0:
                return
            table = request.table
            if request.stage is not Stage.PREFILLING or table is None:
                continue  # it has just been preempted
            num_tokens = self._next_chunk(plan, request, request.num_planned, table.stops)
            if self._hold_blocks(plan, request, num_tokens):
                plan.add_prefill(request, table, num_tokens)

    def _admit_waiting(self, plan: PlanBuilder) -> None:
        """Requests from the queue, strictly in its order: one that does not fit is not overtaken."""
        while plan.budget and self._rows.num_free:
            request = self._waiting.first()
            if request is None or request.waits_for_step > self._resolved_step:
                return
            if request.num_rows > self._rows.num_free:
                return
            if self._still_refused(request) or self._must_wait_whole(plan, request):
                return
            if not self._admit(plan, request):
                self._refused, self._refused_with = request, self._blocks.num_free
                return
            self._waiting.remove_first()

    def _launch(self, plan: PlanBuilder, cohort: list[Request]) -> StepPlan | None:
        """Number the step and count as planned what it will compute."""
        decoding: Sequence[Request] = cohort
        if plan.stalled:
            decoding = [request for request in decoding if request not in plan.stalled]
        if plan.searching:
            decoding = [*decoding, *plan.searching]
        if not decoding and not plan.prefills:
            return None
        step = plan.build(self._next_step_id, self._rows.take_removed(), decoding)
        for request in decoding:
            request.num_planned += 1
        for draft in plan.drafts:
            draft.request.num_planned += draft.num_open
            draft.request.num_guessed += draft.num_open
            draft.request.open_drafts.append(draft)
        self._cohorts.planned(cohort, self._next_step_id)
        for prefill in plan.prefills:
            prefill.request.num_planned = prefill.num_computed
            if prefill.num_computed == len(prefill.request.token_ids):
                self._start_decoding(prefill.request)
        if self._num_grammars:
            self._expect_masks(step)
        self._in_flight.append(step)
        self._blocks.step_planned(self._next_step_id)
        self._next_step_id += 1
        return step.plan

    def _expect_masks(self, step: StepInFlight) -> None:
        drawing = [
            (place, request)
            for place, (request, samples) in enumerate(
                zip(step.requests, step.plan.samples, strict=True)
            )
            if samples and request.grammar is not None
        ]
        if drawing:
            self._masks.expect(step.plan, [p for p, _ in drawing], [r for _, r in drawing])

    @property
    def awaits_late(self) -> bool:
        """True if a step in flight awaits late inputs that were not made yet."""
        return self._masks.num_awaiting > 0

    def late_inputs(self) -> Iterator[tuple[int, LateInputs]]:
        """Steps whose late inputs can be made now, with these, in order; each once."""
        return self._masks.ready(self._resolved_step)

    def take_lost(self) -> list[Request]:
        """Requests that failed while late inputs were made, each once. The last result may have moved them too."""
        lost, self._lost = self._lost, []
        return lost

    # Parts of planning

    def _hold_blocks(self, plan: PlanBuilder, request: Request, num_tokens: int) -> bool:
        """Get the blocks for the next `num_tokens` of a running request; False if it cannot run in this step."""
        assert request.table is not None
        stop = request.num_planned + num_tokens
        while True:
            grown = self._blocks.extend(request.table, request.num_sure, stop)
            if grown is not None:
                plan.append_blocks(request.row, grown)
                self._set_next_event(request)
                return True
            victim = self._make_room(plan)
            if victim is None:  # rather wait than compute again
                plan.stalled.add(request)
                return False
            if victim is request:
                return False

    def _make_room(self, plan: PlanBuilder) -> Request | None:
        """Preempt whoever comes last by the policy; None, and nothing happens, if blocks are about to return."""
        plan.is_short_of_blocks = True
        if self._blocks.has_returning or self._num_draining:
            return None
        running = (*self._cohorts, *self._prefilling, *self._searches.leaders(plan))
        victim: Request = max(running, key=lambda r: (r.preemption_key, r.arrival))
        self._preempt(plan, victim)
        return victim

    def _preempt(self, plan: PlanBuilder, request: Request) -> None:
        """Give back all of a running request and queue it again. Tokens in flight are still kept when they arrive."""
        if isinstance(request, Beam):
            request = self._searches.begin_again(plan, request)
        else:
            plan.withdraw(request)
            self._leave_row(request)
        request.num_planned = 0
        request.num_preemptions += 1
        request.check_at = request.max_tokens
        request.waits_for_step = self._next_step_id - 1
        self._num_preemptions += 1
        self._waiting.put_back(request)

    def _admit(self, plan: PlanBuilder, request: Request) -> bool:
        """Give a waiting request a row, what the cache has of it, and blocks for all of its tokens, if they fit."""
        token_ids = request.token_ids
        hit = self._find_hit(request)
        chunk = self._next_chunk(plan, request, hit.num_tokens, hit.stops)
        spare = self._spare if self.num_running else self._no_spare
        table = self._blocks.allocate(hit, len(token_ids), chunk, spare, plan.copies)
        if table is None:
            return False
        request.row, *request.spare_rows = self._rows.take(request.num_rows)
        request.table = table
        request.num_planned = hit.num_tokens
        self._turns.admitted(request)
        self._keys.set_preemption(request)
        request.stage = Stage.PREFILLING
        self._prefilling.append(request)
        if request.num_preemptions == 0:
            request.num_cached_tokens = hit.num_tokens
            self._num_prompt_tokens += request.num_prompt_tokens
            self._num_cached_tokens += hit.num_tokens
        plan.add_row(request, table)
        plan.add_prefill(request, table, chunk)
        return True

    def _next_chunk(
        self, plan: PlanBuilder, request: Request, start: int, stops: Sequence[int]
    ) -> int:
        """How many tokens of a prompt from `start` on a step computes."""
        missing = len(request.token_ids) - start
        if self._longest_prompt is not None:
            return missing
        return cut_at_stop(stops, start, min(missing, plan.budget, self._max_chunk))

    def _must_wait_whole(self, plan: PlanBuilder, request: Request) -> bool:
        """True if prompts are not cut, and this one does not fit into what is left of the step."""
        return self._longest_prompt is not None and len(request.token_ids) > plan.budget

    def _still_refused(self, request: Request) -> bool:
        """True if no block came free since `request` did not fit: that spares another search for hits."""
        return request is self._refused and self._blocks.num_free <= self._refused_with

    def _find_hit(self, request: Request) -> PrefixHit:
        """What need not be computed: the prompt of a sibling that runs, or what the prefix cache has."""
        if request.pooling is not None and request.pooling.needs_all_tokens:
            return self._blocks.no_prefix()
        if request.prompt_logprobs is not None:
            if len(request.prompt_logprobs) < request.num_prompt_tokens:
                request.prompt_logprobs = [None]  # of a preempted prompt: it starts again
                return self._blocks.no_prefix()
        hit = self._blocks.find_prefix(request.hashes, request.token_ids)
        parent = request.parent
        if parent is not None and parent.stage in (Stage.DECODING, Stage.DRAINING):
            assert parent.table is not None
            fork = self._blocks.fork_prefix(parent.table, request.num_prompt_tokens - 1)
            if fork is not None and fork.num_tokens > hit.num_tokens:
                return fork
        return hit

    def _start_decoding(self, request: Request) -> None:
        """All known tokens are planned: from the next step on the request goes token by token, if it draws any."""
        self._prefilling.remove(request)
        if request.pooling is not None:
            request.stage = Stage.DRAINING
            self._num_draining += 1
            return
        self._cohorts.add(request, self._next_step_id)
        request.stage = Stage.DECODING
        self._set_next_event(request)
        # Not before: a copy of the prompt's tail is made at the start of a step.
        self._waiting.release_siblings(request)

    def _set_next_event(self, request: Request) -> None:
        assert request.table is not None
        capacity = min(map(len, request.table.block_ids)) * self._blocks.block_size
        request.next_event = min(capacity, request.last_computed)

    def _leave_row(self, request: Request) -> None:
        """Take a running request out of its row and give its blocks back."""
        if request.stage is Stage.DECODING:
            self._cohorts.remove(request)
        elif request.stage is Stage.PREFILLING:
            self._prefilling.remove(request)
        else:
            self._num_draining -= 1
        assert request.table is not None
        self._blocks.give_back(request.table)
        request.table = None
        request.num_guessed = 0
        request.open_drafts.clear()
        self._rows.leave(request.row)
        self._rows.leave(*request.spare_rows, is_told=False)
        request.row = -1

    def _stop_decoding(self, request: Request) -> None:
        """Its last token is there: it keeps row and blocks, and is planned by another rule."""
        if request.stage is Stage.DECODING:
            self._cohorts.remove(request)
        else:
            self._num_draining -= 1

    # Results

    def update(self, plan: StepPlan, result: StepResult) -> Sequence[Request]:
        """Apply the result of the oldest step in flight; the requests that got a token or ended."""
        step = self._in_flight.popleft()
        check_result(step, plan, result)
        has_searches = bool(self._searches)
        moved = self._end_failed(step, result.errors) if result.errors else []
        if result.logprobs or result.prompt_logprobs:
            keep_logprobs(step, result)
        for prefill in step.prefills:
            self._remember(prefill.request, prefill.table, prefill.num_computed)
        if result.vectors:
            moved += keep_vectors(step, result)
            for request in moved:
                self.finish(request, FinishReason.STOP)
        if step.drafts or plan.awaits_late:
            moved += self._confirm(step, result)
        else:
            for request, token_id in zip(
                compress(step.requests, plan.samples), result.token_ids, strict=True
            ):
                if request.finish_reason is not None:
                    continue  # it ended while this step was in flight
                token_ids = request.token_ids
                token_ids.append(token_id)
                moved.append(request)
                if len(token_ids) >= request.check_at or token_id in request.stop_ids:
                    self._check(request, token_id)
        self._resolved_step = plan.step_id
        self._cohorts.resolved(plan.step_id)
        self._blocks.step_resolved(plan.step_id)
        return self._searches.resolve(moved) if has_searches else moved

    def _confirm(self, step: StepInFlight, result: StepResult) -> list[Request]:
        """Keep what rows drew, up to a token that ends them; whoever drew less than was planned goes on from there."""
        counts = result.counts or [1] * len(result.token_ids)
        drawn = zip(compress(step.requests, step.plan.samples), counts, strict=True)
        counted = dict(drawn)
        for draft in step.drafts:
            if settle_draft(draft, counted[draft.request]):
                self._return_to_decoding(draft.request, step.plan.step_id)
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
            if len(request.token_ids) >= request.check_at or token_id in request.stop_ids:
                self._check(request, token_id)
            if request.grammar is not None and not request.is_finished:
                self._follow(request, request.grammar, token_id)
            if request.finish_reason is not None:
                break
        if request.logprobs is not None:
            del request.logprobs[request.num_output_tokens :]

    def _follow(self, request: Request, grammar: GrammarState, token_id: int) -> None:
        """Move on in the grammar of an output; where nothing may follow, it ends."""
        try:
            is_allowed, is_finished = grammar.accept(token_id), grammar.is_finished
        except FAULTS as error:
            logger.error("request %s: %s", request.request_id, error, exc_info=error)
            is_allowed, is_finished = False, False
        if not is_allowed:
            self._end_with_error(request, f"its grammar does not take token {token_id}")
        elif is_finished:
            self.finish(request, FinishReason.STOP)

    def _lose(self, request: Request, error: str) -> None:
        """End a request while the late inputs of a step in flight are made."""
        self._end_with_error(request, error)
        self._lost.append(request)

    def _end_with_error(self, request: Request, error: str) -> None:
        self.finish(request, FinishReason.ERROR, error=error)

    def _return_to_decoding(self, request: Request, step_id: int) -> None:
        """Its last tokens were planned, but some of the guesses before them were wrong."""
        if request.stage is Stage.DRAINING and request.num_planned < request.last_computed:
            self._num_draining -= 1
            request.stage = Stage.DECODING
            self._cohorts.add(request, step_id)

    def _check(self, request: Request, token_id: int) -> None:
        """A token that filled a block or may be the last one."""
        num_tokens = len(request.token_ids)
        if num_tokens >= request.check_at and request.table is not None:
            self._remember(request, request.table, num_tokens - 1)  # the new token is not computed
        sampling = request.sampling
        if token_id in request.stop_ids and request.num_output_tokens >= sampling.min_tokens:
            named = token_id in sampling.stop_token_ids
            self.finish(request, FinishReason.STOP, token_id if named else None)
        elif num_tokens >= request.max_tokens:
            self.finish(request, FinishReason.LENGTH)

    def _remember(self, request: Request, table: BlockTable, num_computed: int) -> None:
        """Offer full blocks for prefix hits, those of an aborted or preempted request too."""
        if request.finish_reason is FinishReason.ERROR or not self._blocks.prefix_caching:
            return
        self._blocks.remember(table, request.hashes, request.token_ids, num_computed)
        if request.table is table:
            next_full = (table.num_remembered + 1) * self._blocks.block_size
            request.check_at = min(request.max_tokens, next_full + 1)

    def _end_failed(self, step: StepInFlight, errors: Mapping[int, str]) -> list[Request]:
        failed = []
        for position, error in errors.items():
            request = step.requests[position]
            if not request.is_finished:
                self.finish(request, FinishReason.ERROR, error=error)
                failed.append(request)
        return failed
