"""Steps in flight: plan and submit until the executor is full, then resolve the oldest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from jackfield.errors import EngineError, WorkerError
from jackfield.interfaces.executor import Executor
from jackfield.scheduler import Request, Scheduler
from jackfield.step import StepPlan, StepResult


class StepLoop:
    """Keeps up to `executor.depth` steps in flight. Waits for nothing but the oldest of them."""

    def __init__(
        self, scheduler: Scheduler, executor: Executor, *, step_timeout_s: float | None
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._depth = executor.depth
        self._timeout_s = step_timeout_s
        self._in_flight: deque[tuple[StepPlan, Future[StepResult], float]] = deque()
        self._resolved_s = 0.0  # of time.monotonic()

    @property
    def num_in_flight(self) -> int:
        """Steps that were submitted and not resolved."""
        return len(self._in_flight)

    def launch(self) -> bool:
        """Submit what can be planned; True where a step is in flight then."""
        while len(self._in_flight) < self._depth:
            plan = self._scheduler.schedule()
            if plan is None:
                break
            self._in_flight.append((plan, self._executor.submit(plan), time.monotonic()))
        if not self._in_flight and self._scheduler.has_unfinished:
            raise EngineError(
                f"{self._scheduler.num_waiting} requests wait and {self._scheduler.num_running} run, but no step can "
                "be planned and none is in flight; this is a fault of the scheduler or its policy"
            )
        return bool(self._in_flight)

    def wait(self) -> StepResult:
        """The result of the oldest step. Raises what ended the executor; may be interrupted and called again."""
        plan, future, _ = self._in_flight[0]
        try:
            return future.result(self._timeout_s)
        except TimeoutError:
            if future.done():
                raise  # it is the worker's own
            raise WorkerError(
                f"step {plan.step_id} was not finished within executor.step_timeout_s = {self._timeout_s} s; "
                "a worker hangs, or steps take that long: lower scheduler.max_step_tokens or raise the limit"
            ) from None

    def resolve(self, result: StepResult) -> tuple[Sequence[Request], StepPlan, float]:
        """Apply the result of the oldest step: what moved, its plan, and the seconds that it took alone."""
        plan, _, submitted_s = self._in_flight.popleft()
        moved = self._scheduler.update(plan, result)
        began_s, self._resolved_s = max(submitted_s, self._resolved_s), time.monotonic()
        return moved, plan, self._resolved_s - began_s
