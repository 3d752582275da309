"""Steps in flight: plan and submit steps until the executor is full, then resolve the oldest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from jackfield.discovery.loading import FAULTS
from jackfield.errors import EngineError, JackfieldError, WorkerError
from jackfield.executor.patience import PATIENCE_S, tell_waiting
from jackfield.interfaces.adapters import SECTION as ADAPTERS
from jackfield.interfaces.adapters import AdapterChange
from jackfield.interfaces.executor import Executor
from jackfield.scheduler import Request, Scheduler
from jackfield.step import StepPlan, StepResult


class StepLoop:
    """Keeps up to `executor.depth` steps in flight. Waits only for the oldest of them."""

    def __init__(
        self,
        scheduler: Scheduler,
        executor: Executor,
        *,
        step_timeout_s: float | None,
        executor_name: str = "the executor",  # with its distribution
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._depth = executor.depth
        self._timeout_s = step_timeout_s
        self._executor_name = executor_name
        self._patience_s = patience_s
        self._in_flight: deque[tuple[StepPlan, Future[StepResult], float]] = deque()
        self._resolved_s = 0.0  # in the time of time.monotonic()
        self._changes: list[AdapterChange] = []  # they go with the next plan

    @property
    def num_in_flight(self) -> int:
        """Steps that were submitted and not yet resolved."""
        return len(self._in_flight)

    def change_adapters(self, change: AdapterChange) -> None:
        """Let workers load or forget an adapter before the rows of the next plan."""
        self._changes.append(change)

    def launch(self) -> bool:
        """Submit what can be planned; True if a step is in flight afterwards."""
        while len(self._in_flight) < self._depth:
            plan = self._scheduler.schedule()
            if plan is None:
                break
            if self._changes:
                plan.sections = {ADAPTERS: tuple(self._changes)}
                self._changes.clear()
            self._in_flight.append((plan, self._submit(plan), time.monotonic()))
            if plan.awaits_late:
                self._send_late()
        if not self._in_flight and self._scheduler.has_unfinished:
            raise EngineError(
                f"{self._scheduler.num_waiting} requests wait and {self._scheduler.num_running} run, but no step can "
                "be planned and none is in flight; this is a fault of the scheduler or its policy"
            )
        return bool(self._in_flight)

    def wait(self) -> StepResult:
        """The result of the oldest step. Raises the error that ended the executor. May be interrupted and called
        again.
        """
        plan, future, _ = self._in_flight[0]
        try:
            result = self._awaited(plan, future)
            if not isinstance(result, StepResult):
                raise TypeError(
                    f"the future of submit() must hold a StepResult, got {result!r:.200}"
                )
        except JackfieldError:
            raise
        except FAULTS as error:
            raise self._fault(f"finish step {plan.step_id}", error) from error
        return result

    def resolve(self, result: StepResult) -> tuple[Sequence[Request], StepPlan, float]:
        """Apply the result of the oldest step. Returns what moved, the step's plan, and the seconds that it took
        alone.
        """
        plan, _, submitted_s = self._in_flight.popleft()
        moved = self._scheduler.update(plan, result)
        if self._scheduler.awaits_late:
            self._send_late()
        if lost := self._scheduler.take_lost():
            moved = [*moved, *(request for request in lost if request not in moved)]
        began_s, self._resolved_s = max(submitted_s, self._resolved_s), time.monotonic()
        return moved, plan, self._resolved_s - began_s

    def _send_late(self) -> None:
        """Send the late inputs that can be made now. The steps that await them are running meanwhile."""
        for step_id, late in self._scheduler.late_inputs():
            try:
                self._executor.sample(step_id, late)
            except JackfieldError:
                raise
            except FAULTS as error:
                raise self._fault(f"bring late inputs to step {step_id}", error) from error

    def _submit(self, plan: StepPlan) -> Future[StepResult]:
        try:
            future = self._executor.submit(plan)
            if not isinstance(future, Future):
                raise TypeError(f"submit() must return a Future, got {future!r:.200}")
        except JackfieldError:
            raise
        except FAULTS as error:
            raise self._fault(f"submit step {plan.step_id}", error) from error
        return future

    def _awaited(self, plan: StepPlan, future: Future[StepResult]) -> StepResult:
        """The result of a step. Each time patience runs out, a line is logged. Raises the error that the future
        holds.
        """
        began_s, waited_s = time.monotonic(), 0.0
        while True:
            left_s = self._patience_s
            if self._timeout_s is not None:
                left_s = min(left_s, self._timeout_s - waited_s)
            try:
                return future.result(left_s)
            except TimeoutError:
                if future.done():
                    raise  # the TimeoutError is the worker's own
            waited_s = time.monotonic() - began_s
            if self._timeout_s is not None and waited_s >= self._timeout_s:
                raise WorkerError(
                    f"step {plan.step_id} was not finished within executor.step_timeout_s = {self._timeout_s} s; "
                    "a worker hangs, or steps take that long: lower scheduler.max_step_tokens or raise the limit"
                )
            tell_waiting(waited_s, f"{self._executor_name} to finish step {plan.step_id}")

    def _fault(self, verb: str, error: BaseException) -> EngineError:
        return EngineError(
            f"{self._executor_name} failed to {verb}: {type(error).__name__}: {error}"
        )
