"""The scheduler: it makes step plans from waiting and running requests, and tokens from results."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from jackfield.config import SchedulerSettings
from jackfield.errors import RequestError
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.kv_cache import BlockManager
from jackfield.request import FinishReason
from jackfield.scheduler.admission import Admission
from jackfield.scheduler.drafting import Drafting, open_draft
from jackfield.scheduler.lengths import PromptChunks, set_lengths
from jackfield.scheduler.masks import Masks
from jackfield.scheduler.outcomes import Outcomes
from jackfield.scheduler.plan_builder import PlanBuilder, StepInFlight
from jackfield.scheduler.policy_keys import PolicyKeys
from jackfield.scheduler.preemption import Preemption
from jackfield.scheduler.request import Request, Stage
from jackfield.scheduler.results import check_result
from jackfield.scheduler.running import RunningRequests
from jackfield.scheduler.searches import Searches
from jackfield.scheduler.stats import SchedulerStats
from jackfield.scheduler.turns import Turns
from jackfield.scheduler.waiting_queue import WaitingQueue
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult


class Scheduler:
    """Decides what each step computes. Used by one thread.

    `schedule` may be called several times before `update`; results are applied in the order of the plans. The rules:

    - There is no prefill phase. In each step a request's computed tokens catch up with its tokens within the budget.
    - A token that only the worker knows is planned like any other. If a stop is found late, later results are void.
    - A row is reused at once: a worker applies plans strictly in order, and `removed_rows` before `new_rows`.
      Blocks become free only when the last step that names them is resolved (see BlockManager).
    - Running requests come first. If one lacks a block and none is about to become free, the running request with the
      largest preemption key gives its blocks back and is computed again later, from prefix hits if possible.
    """

    def __init__(
        self,
        settings: SchedulerSettings,
        blocks: BlockManager,
        limits: StepLimits,
        policy: SchedulingPolicy,
        *,
        max_length: int,
        policy_name: str = "",  # name with distribution, for messages
        drafting: Drafting | None = None,  # None: no speculation
        num_cohorts: int = 1,
        vocab_size: int = 0,  # bits of a mask
    ) -> None:
        self._blocks = blocks
        self._keys = PolicyKeys(policy, policy_name)
        self._turns = Turns()
        self._drafting = drafting
        self._masks = Masks(vocab_size, self._lose)
        # Requests whose grammar failed and whose end was not reported yet.
        self._lost: list[Request] = []
        self._num_grammars = 0  # open requests with a grammar
        self._max_length = max_length  # most tokens of one request, prompt and output together
        self._max_waiting = settings.max_waiting
        self._max_step_tokens = min(settings.max_step_tokens, limits.max_step_tokens)
        # Each running row can compute a token in each step.
        self._max_rows = min(settings.max_rows, limits.max_rows, self._max_step_tokens)
        # Limit for a model that sees all tokens of a prompt at once. None: prompts may be cut.
        self._longest_prompt = self._max_step_tokens if blocks.whole_prompts else None
        chunks = (self._max_step_tokens, settings.long_prefill_tokens, blocks.longest_chunk)
        self._chunks = PromptChunks(
            min(chunk for chunk in chunks if chunk is not None), self._longest_prompt
        )

        self._waiting = WaitingQueue(self._keys)
        self._running = running = RunningRequests(blocks, self._max_rows, num_cohorts)
        self._searches = Searches(
            blocks,
            running.rows,
            self._waiting,
            leave_row=running.leave,
            stop_decoding=running.stop_decoding,
            vocab_size=vocab_size,
        )
        self._admission = Admission(
            blocks,
            running,
            self._waiting,
            self._keys,
            self._turns,
            self._chunks,
            settings.watermark,
        )
        self._preemption = Preemption(blocks, running, self._waiting, self._searches)
        self._outcomes = Outcomes(blocks, running, self.finish)
        self._in_flight: deque[StepInFlight] = deque()
        self._next_step_id = 0
        self._resolved_step = -1
        self._next_arrival = 0

    # What is there

    @property
    def has_unfinished(self) -> bool:
        """True while a request waits or runs. Later steps can still be in flight; their results are void."""
        return self.num_running > 0 or self.num_waiting > 0

    @property
    def num_running(self) -> int:
        """Requests that have a row."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Requests in the queue, including preempted ones."""
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
            num_preemptions=self._preemption.count,
            num_prompt_tokens=self._admission.num_prompt_tokens,
            num_cached_tokens=self._admission.num_cached_tokens,
        )

    def block_maps(self, most: int) -> list[str]:
        """Of each cache group what its blocks hold, as `BlockPool.letters` writes it."""
        return self._blocks.maps(most)

    # From outside

    def add(self, *requests: Request) -> None:
        """Queue all of these requests, or none. Raises RequestError if one of them can never run, the queue is full, or
        the policy fails.

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
        """End a request at any moment, after an abort, a stop string or an error. Its results in flight are void."""
        if request.is_finished:
            return
        if search := self._searches.of(request):
            self._searches.end(search, reason, stop_reason, error)
            return
        request.end(reason, stop_reason, error)
        self._num_grammars -= request.grammar is not None
        self._turns.ended(request)
        if request.stage in (Stage.WAITING, Stage.HELD):
            self._waiting.withdraw(request)
        else:
            self._running.leave(request)
        request.stage = Stage.FINISHED
        self._waiting.release_siblings(request)

    # Planning

    def schedule(self) -> StepPlan | None:
        """The next step. None if nothing can run before a result arrives or a request is added."""
        plan = PlanBuilder(self._max_step_tokens, self._next_step_id)
        decoding = self._running.cohorts.next(self._resolved_step)
        self._continue_decoding(plan, decoding)
        if self._drafting is not None:
            self._add_drafts(plan, decoding, self._drafting)
        self._searches.plan(plan, self._preemption.make_room)
        self._continue_prefills(plan)
        if not plan.is_short_of_blocks:
            self._admission.admit_waiting(plan, self._resolved_step)
        return self._launch(plan, decoding)

    def _continue_decoding(self, plan: PlanBuilder, decoding: list[Request]) -> None:
        """Plan one token for each row that has caught up. Only rows with an event need a closer look."""
        due = [r for r in decoding if r.num_planned >= r.next_event]
        # Requests whose tokens are all planned go first: they cannot be preempted, and their blocks will become free.
        for request in due:
            if request.num_planned >= request.last_computed:
                self._running.drain(request)
        for request in due:
            if request.stage is Stage.DECODING:  # it was neither drained nor preempted
                self._preemption.hold_blocks(plan, request, 1)
        plan.budget -= len(decoding)

    def _add_drafts(
        self, plan: PlanBuilder, decoding: Sequence[Request], drafting: Drafting
    ) -> None:
        """Plan guesses for decoding rows, as far as budget and free blocks allow."""
        for request in decoding:
            if plan.budget <= 0 or plan.is_short_of_blocks:
                return
            if token_ids := drafting.draft(request, min(plan.budget, self._chunks.max_chunk - 1)):
                opened = open_draft(self._blocks, request, token_ids)
                if opened is None:
                    return
                draft, grown = opened
                plan.append_blocks(request.row, grown)
                plan.add_draft(draft)
                self._running.set_next_event(request, request.num_planned)

    def _continue_prefills(self, plan: PlanBuilder) -> None:
        """Plan the next chunk of each prompt that has begun, the oldest first."""
        for request in tuple(self._running.prefilling):
            if plan.budget == 0:
                return
            table = request.table
            if request.stage is not Stage.PREFILLING or table is None:
                continue  # it has just been preempted
            num_tokens = self._chunks.next(plan, request, request.num_planned, table.stops)
            if self._preemption.hold_blocks(plan, request, num_tokens):
                plan.add_prefill(request, table, num_tokens)

    def _launch(self, plan: PlanBuilder, cohort: list[Request]) -> StepPlan | None:
        """Number the step, and count the tokens that it will compute as planned."""
        decoding: Sequence[Request] = cohort
        if plan.stalled:
            decoding = [request for request in decoding if request not in plan.stalled]
        if plan.searching:
            decoding = [*decoding, *plan.searching]
        if not decoding and not plan.prefills:
            return None
        step = plan.build(self._running.rows.take_removed(), decoding)
        for request in decoding:
            request.num_planned += 1
        for draft in plan.drafts:
            draft.request.num_planned += draft.num_open
            draft.request.num_guessed += draft.num_open
            draft.request.open_drafts.append(draft)
        self._running.cohorts.planned(cohort, plan.step_id)
        for prefill in plan.prefills:
            request = prefill.request
            request.num_planned = prefill.num_computed
            if prefill.num_computed == len(request.token_ids):
                self._running.start_decoding(request, plan.step_id)
                if request.stage is Stage.DECODING:
                    # Siblings wait until now: the prompt's last block is copied at the start of a step.
                    self._waiting.release_siblings(request)
        if self._num_grammars:
            self._expect_masks(step)
        self._in_flight.append(step)
        self._blocks.step_planned(plan.step_id)
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

    # Results

    def update(self, plan: StepPlan, result: StepResult) -> Sequence[Request]:
        """Apply the result of the oldest step in flight. Returns the requests that got a token or ended."""
        step = self._in_flight.popleft()
        check_result(step, plan, result)
        has_searches = bool(self._searches)
        moved = self._outcomes.apply(step, result)
        self._resolved_step = plan.step_id
        self._running.cohorts.resolved(plan.step_id)
        self._blocks.step_resolved(plan.step_id)
        return self._searches.resolve(moved) if has_searches else moved

    # Late inputs

    @property
    def awaits_late(self) -> bool:
        """True if a step in flight awaits late inputs that are not made yet."""
        return self._masks.num_awaiting > 0

    def late_inputs(self) -> Iterator[tuple[int, LateInputs]]:
        """Steps whose late inputs can be made now, with the inputs; in order, each step once."""
        return self._masks.ready(self._resolved_step)

    def take_lost(self) -> list[Request]:
        """Requests that failed while late inputs were made, each once. The last result may have moved them too."""
        lost, self._lost = self._lost, []
        return lost

    def _lose(self, request: Request, error: str) -> None:
        """End a request while the late inputs of a step in flight are made."""
        self.finish(request, FinishReason.ERROR, error=error)
        self._lost.append(request)
