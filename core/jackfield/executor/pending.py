"""The futures of submitted steps, and how completions and failures reach them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from threading import Lock

from jackfield.errors import EngineError
from jackfield.step import StepResult


class PendingSteps:
    """Open steps in the order of submission. A step resolves when all ranks have answered.

    Used by the thread that submits and the thread that receives from workers. Ranks answer in order, so the futures
    resolve in order too.
    """

    def __init__(self, num_ranks: int = 1) -> None:
        self._num_ranks = num_ranks
        self._open: deque[_OpenStep] = deque()
        self._error: EngineError | None = None
        self._lock = Lock()

    def open(self, step_id: int) -> Future[StepResult]:
        """The future of a step that is about to be sent. If anything has failed, the future fails at once."""
        step = _OpenStep(step_id, self._num_ranks)
        with self._lock:
            error = self._error
            if error is None:
                self._open.append(step)
        if error is not None:
            step.future.set_exception(error)
        return step.future

    def complete(self, step_id: int, result: StepResult | None) -> None:
        """Note that one rank is done with the step. `result` is given by the output rank."""
        with self._lock:
            step = next((step for step in self._open if step.step_id == step_id), None)
            if step is None:
                return  # it failed in the meantime
            step.num_awaited -= 1
            step.result = result if result is not None else step.result
            if step.num_awaited:
                return
            self._open.remove(step)
        if step.result is None:
            error = f"no rank sent the result of step {step_id}; one must be the output rank"
            step.future.set_exception(EngineError(error))
        else:
            step.future.set_result(step.result)

    def fail(self, error: EngineError) -> None:
        """Resolve all open steps, and every later one, with `error`. The first failure counts."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            steps = list(self._open)
            self._open.clear()
        for step in steps:
            step.future.set_exception(error)


class _OpenStep:
    __slots__ = ("future", "num_awaited", "result", "step_id")

    def __init__(self, step_id: int, num_ranks: int) -> None:
        self.step_id = step_id
        self.num_awaited = num_ranks
        self.result: StepResult | None = None
        self.future: Future[StepResult] = Future()
        self.future.set_running_or_notify_cancel()  # a submitted step cannot be cancelled
