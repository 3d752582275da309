"""The executor for one rank in this process: its worker lives on a thread of its own."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from jackfield.discovery.kinds import PLATFORMS
from jackfield.errors import EngineClosedError, WorkerError
from jackfield.executor.create import create_worker
from jackfield.executor.messages import (
    Allocate,
    Allocated,
    Close,
    Command,
    Completed,
    Failed,
    Load,
    Loaded,
    Reply,
    Sample,
    Submit,
)
from jackfield.executor.pending import PendingSteps
from jackfield.executor.serve import serve
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepPlan, StepResult

logger = logging.getLogger(__name__)


class InlineExecutorFactory(ExecutorFactory):
    """One rank, in this process."""

    def create(self, context: WorkerContext) -> Executor:
        """Make the executor; `start` makes the worker."""
        return InlineExecutor(context)


class InlineExecutor(Executor):
    """Runs a worker on one dedicated thread, so that `submit` returns at once.

    Only that thread makes, loads, uses and closes the worker. If an executor is dropped without `close()`, its thread
    ends too.
    """

    def __init__(
        self,
        context: WorkerContext,
        create: Callable[[WorkerContext], Worker] = create_worker,
    ) -> None:
        self._context = context
        self._channel = _Channel()
        self._thread = threading.Thread(
            target=serve,
            args=(
                lambda: create(context),
                self._channel.commands.get,
                self._channel.reply,
                context.activation.selected(PLATFORMS),
            ),
            name="jackfield-worker",
            daemon=True,
        )
        timeout_s = context.config.executor.close_timeout_s
        self._end = weakref.finalize(self, _end, self._channel, self._thread, timeout_s)

    @property
    def depth(self) -> int:
        """As configured."""
        return self._context.config.executor.depth

    def start(self) -> WorkerReport:
        """Start the thread and load the worker. Errors that the worker raises on purpose are raised unchanged."""
        self._thread.start()
        self._channel.commands.put(Load())
        answer = self._wait("load its weights")
        assert isinstance(answer, Loaded)
        return answer.report

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache."""
        self._channel.commands.put(Allocate(num_blocks))
        answer = self._wait("make its cache")
        assert isinstance(answer, Allocated)

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Hand the plan to the worker's thread."""
        future = self._channel.steps.open(plan.step_id)
        self._channel.commands.put(Submit(plan))
        return future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Hand late inputs to the worker's thread."""
        self._channel.commands.put(Sample(step_id, late))

    def close(self) -> None:
        """Wait for the running step, close the worker, and end the thread."""
        self._end()

    def _wait(self, doing: str) -> Reply:
        timeout_s = self._context.config.executor.start_timeout_s
        try:
            answer = self._channel.answers.get(timeout=timeout_s)
        except Empty:
            error = WorkerError(
                f"the worker did not {doing} within executor.start_timeout_s = {timeout_s:g} s. "
                "Raise it if the model is that large",
                _stack_of(self._thread),
            )
            self._channel.steps.fail(error)
            raise error from None
        if isinstance(answer, Failed):
            raise answer.as_start_error()
        return answer


class _Channel:
    """The objects that the executor and its thread share. It holds no reference to the executor."""

    def __init__(self) -> None:
        self.commands: SimpleQueue[Command] = SimpleQueue()
        self.answers: SimpleQueue[Reply] = SimpleQueue()  # to Load and Allocate
        self.steps = PendingSteps()

    def reply(self, reply: Reply) -> None:
        match reply:
            case Completed(step_id, result):
                self.steps.complete(step_id, result)
            case Failed():
                self.steps.fail(reply.as_error())
                self.answers.put(reply)
                self.commands.put(Close())
            case _:
                self.answers.put(reply)


def _end(channel: _Channel, thread: threading.Thread, timeout_s: float) -> None:
    channel.commands.put(Close())
    if thread.ident is not None and thread is not threading.current_thread():
        thread.join(timeout_s)
        if thread.is_alive():
            logger.warning(
                "the worker did not end its step within executor.close_timeout_s = %g s; "
                "its thread is left behind",
                timeout_s,
            )
    channel.steps.fail(EngineClosedError("the engine was closed; make a new one"))


def _stack_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame else ""
