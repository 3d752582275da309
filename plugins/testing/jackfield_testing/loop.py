"""A scheduler and a reference device in one thread, so that a test can act between any two events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from jackfield.config import SchedulerSettings
from jackfield.grammar import Grammar
from jackfield.interfaces.policy import SchedulingPolicy
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.kv_cache import BlockManager
from jackfield.model_spec import ModelSpec
from jackfield.request import EngineRequest, FinishReason
from jackfield.sampling import SamplingParams, Structured
from jackfield.scheduler.drafting import Drafting
from jackfield.scheduler.policies import FcfsPolicy
from jackfield.scheduler.request import Request
from jackfield.scheduler.scheduler import Scheduler
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult
from jackfield.structured.choice import ChoiceCompiler
from jackfield_testing.device import ReferenceDevice
from jackfield_testing.options import ReferenceOptions
from jackfield_testing.pipeline import SimulatedPipeline
from jackfield_testing.tokenizer import ByteTokenizer


class _Step:
    """A step in flight."""

    __slots__ = ("plan", "result")

    def __init__(self, plan: StepPlan) -> None:
        self.plan = plan
        self.result: StepResult | None = None  # None: it awaits late inputs


class SchedulerLoop:
    """Fills the pipeline with `depth` steps, then resolves the oldest, as an engine does. Deterministic.

    An event is the submission or the resolution of a step. The device runs a plan at its submission; the scheduler
    sees the result at its resolution.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        num_blocks: int | Sequence[int] = 64,
        block_size: int = 4,
        depth: int = 2,
        prefix_caching: bool = True,
        settings: SchedulerSettings | None = None,
        policy: SchedulingPolicy | None = None,
        options: ReferenceOptions | None = None,
        drafting: Drafting | None = None,
        num_cohorts: int = 1,
        pipeline: SimulatedPipeline | None = None,
    ) -> None:
        settings = settings or SchedulerSettings(watermark=0.0)
        groups = spec.cache_groups(spec.dtype)
        counts = [num_blocks] * len(groups) if isinstance(num_blocks, int) else list(num_blocks)
        limits = StepLimits(max_rows=settings.max_rows, max_step_tokens=settings.max_step_tokens)
        self.spec = spec
        self.depth = depth
        self.blocks = BlockManager(groups, counts, block_size, prefix_caching)
        self.scheduler = Scheduler(
            settings,
            self.blocks,
            limits,
            policy or FcfsPolicy(),
            max_length=spec.max_length,
            drafting=drafting,
            num_cohorts=num_cohorts,
            vocab_size=spec.vocab_size,
        )
        self.device = ReferenceDevice(
            groups,
            counts,
            block_size,
            vocab_size=spec.vocab_size,
            max_length=spec.max_length,
            limits=limits,
            options=options or ReferenceOptions(),
        )
        self.num_events = 0
        self._pipeline = pipeline
        self._in_flight: deque[_Step] = deque()
        self._late: dict[int, LateInputs] = {}  # late inputs of steps that wait for an earlier step
        self._tokenizer = ByteTokenizer()
        self._ids = count()

    def add(
        self, prompt: Sequence[int], sampling: SamplingParams, *, priority: int = 0
    ) -> list[Request]:
        """Queue the `n` outputs of a prompt; output i gets the seed `sampling.seed` + i."""
        engine_request = EngineRequest(
            request_id=str(next(self._ids)),
            prompt_token_ids=prompt,
            sampling=sampling,
            grammar=self._grammar(sampling),
            priority=priority,
        )
        requests: list[Request] = []
        for index in range(sampling.n):
            requests.append(
                Request.from_engine_request(
                    engine_request,
                    seed=(sampling.seed or 0) + index,
                    end_token_ids=self.spec.end_token_ids,
                    index=index,
                    parent=requests[0] if requests else None,
                )
            )
        self.scheduler.add(*requests)
        return requests

    def _grammar(self, sampling: SamplingParams) -> Grammar | None:
        if sampling.structured is None:
            return None
        vocabulary = Vocabulary(
            tokenizer=self._tokenizer,
            size=self.spec.vocab_size,
            end_token_ids=self.spec.end_token_ids,
        )
        return ChoiceCompiler(vocabulary).compile(Structured.of(sampling.structured))

    def abort(self, request: Request) -> None:
        """Withdraw a request now."""
        self.scheduler.finish(request, FinishReason.ABORT)

    def run(self, before_event: Callable[[int], None] = lambda event: None) -> None:
        """Run until all requests have ended and no step is in flight. `before_event` gets the number of the next event."""
        while self._in_flight or self.scheduler.has_unfinished:
            before_event(self.num_events)
            if len(self._in_flight) < self.depth and self._submit():
                continue
            if self._in_flight:
                self._resolve()
            elif self.scheduler.has_unfinished:
                raise AssertionError("requests wait, nothing is in flight, and nothing is planned")

    def _submit(self) -> bool:
        plan = self.scheduler.schedule()
        if plan is None:
            return False
        self._in_flight.append(_Step(plan))
        if self._pipeline is not None:
            self._pipeline.submit(plan)
        self.num_events += 1
        self._go_on()
        return True

    def _go_on(self) -> None:
        """Compute steps in order, as far as their late inputs have come."""
        self._late.update(self.scheduler.late_inputs())
        for step in self._in_flight:
            if step.result is None:
                plan = step.plan
                if plan.awaits_late and plan.step_id not in self._late:
                    return
                late = self._late.pop(plan.step_id, LateInputs())
                step.result = self.device.run(plan, late)

    def _resolve(self) -> None:
        step = self._in_flight.popleft()
        assert step.result is not None, "late inputs of the oldest step did not come"
        self.num_events += 1
        if self._pipeline is not None:
            self._pipeline.wait(step.plan)
        moved = self.scheduler.update(step.plan, step.result)
        self._go_on()
        for request in moved:
            if request.sampling.stop:
                self._find_stop(request)

    def _find_stop(self, request: Request) -> None:
        """End a request at the first token that completes a stop string, and drop its later tokens."""
        output = request.output_token_ids
        for length in range(max(1, request.sampling.min_tokens), len(output) + 1):
            text = self._tokenizer.decode(output[:length])
            stop = next((stop for stop in request.sampling.stop if stop in text), None)
            if stop is not None:
                self.scheduler.finish(request, FinishReason.STOP, stop)
                del request.token_ids[request.num_prompt_tokens + length :]
                request.finish_reason, request.stop_reason = FinishReason.STOP, stop
                return

    def leaks(self) -> list[str]:
        """What is left over after everything has ended. Empty if the bookkeeping is right."""
        found = [
            f"group {index}: {pool.num_used} blocks are not free"
            for index, pool in enumerate(self.blocks.pools)
            if pool.num_used
        ]
        if self.scheduler.num_running or self.scheduler.num_waiting:
            found.append(f"{self.scheduler.stats}")
        if self.scheduler.num_in_flight or self.blocks.has_returning:
            found.append("a step is in flight")
        return found
