"""The loop that runs one worker, the same on a thread and in a process of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue

from jackfield.activation import PluginRef
from jackfield.discovery.loading import describe, fix_for
from jackfield.errors import JackfieldError
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
from jackfield.interfaces.worker import Worker
from jackfield.step import StepResult

logger = logging.getLogger(__name__)
_END_TIMEOUT_S = 1.0  # for a worker that leaves a future open, though it should not


def serve(
    create: Callable[[], Worker],
    receive: Callable[[], Command],
    reply: Callable[[Reply], None],
    platform: PluginRef | None = None,
) -> None:
    """Make a worker and carry out commands until Close, or until the worker raises.

    An error is sent as Failed, which names the `platform`. Threads of the worker may call `reply` too.
    """
    worker: Worker | None = None
    waiter = _Waiter()
    try:
        worker = create()
        _Session(worker, receive, reply, platform, waiter).run()
    except BaseException as error:
        reply(failure(error, platform))
    finally:
        if worker is not None:
            _close(worker)
        waiter.end()
        del worker  # an error's traceback may outlive this frame


def failure(error: BaseException, platform: PluginRef | None = None) -> Failed:
    """The reply after the worker raised `error`. An error that was raised on purpose says itself what to do."""
    name, text = type(error).__qualname__, str(error)
    if platform is not None and not isinstance(error, JackfieldError):
        text += f"\nIt is the worker of {describe(platform)}. {fix_for(platform, error)}"
    lines = traceback.format_exception(error)
    link: BaseException | None = error
    while link is not None:  # otherwise the error would keep the worker's tensors alive
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    return Failed(f"the worker raised {name}: {text}", "".join(lines), error)


class _Session:
    """A worker from its creation to its end."""

    def __init__(
        self,
        worker: Worker,
        receive: Callable[[], Command],
        reply: Callable[[Reply], None],
        platform: PluginRef | None,
        waiter: _Waiter,
    ) -> None:
        self._worker = worker
        self._waiter = waiter
        self._receive = receive
        self._reply = reply
        self._platform = platform
        self._sends_results = True

    def run(self) -> None:
        while not isinstance(command := self._receive(), Close):
            match command:
                case Submit(plan):
                    answer = partial(self._answer, plan.step_id)
                    future = self._worker.submit(plan)
                    future.add_done_callback(answer)
                    if not future.done():
                        self._waiter.wait_for(future)
                case Sample(step_id, late):
                    self._worker.sample(step_id, late)
                case Load():
                    self._reply(Loaded(self._worker.load()))
                case Allocate(num_blocks, is_output_rank):
                    self._sends_results = is_output_rank
                    self._worker.allocate(num_blocks)
                    self._reply(Allocated())

    def _answer(self, step_id: int, done: Future[StepResult]) -> None:
        if done.cancelled():  # the worker was closed before
            return
        if (error := done.exception()) is not None:
            self._reply(failure(error, self._platform))
        else:
            self._reply(Completed(step_id, done.result() if self._sends_results else None))


class _Waiter:
    """Waits for steps in order, on a thread of its own. Meanwhile the worker's thread starts the next step.

    A worker may resolve a future only when its `result()` is called, by waiting for the device on this thread.
    """

    def __init__(self) -> None:
        self._steps: SimpleQueue[Future[StepResult] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def wait_for(self, future: Future[StepResult]) -> None:
        """Queue a future to wait for."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="jackfield-waiter", daemon=True)
            self._thread.start()
        self._steps.put(future)

    def end(self) -> None:
        """End the thread. The worker was closed, so no step is left."""
        self._steps.put(None)
        if self._thread is not None:
            self._thread.join(_END_TIMEOUT_S)

    def _run(self) -> None:
        while (future := self._steps.get()) is not None:
            with contextlib.suppress(BaseException):  # the error goes to the future's callbacks
                future.result()


def _close(worker: Worker) -> None:
    try:
        worker.close()
    except Exception:
        logger.exception("the worker raised while it was closed; its memory may not be free")
