"""An engine on a thread of its own. The thread only steps: tokens in, tokens out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

from jackfield.client.text_thread import TextThread
from jackfield.engine.deltas import OpenOutput, OpenRequest, Receiver
from jackfield.engine.engine import Engine
from jackfield.errors import EngineClosedError, RequestError
from jackfield.request import EngineRequest, FinishReason

T = TypeVar("T")
_CLOSE_S = 30.0  # time for the running step to end
_WITHDRAW_S = 1.0  # the same, for a caller that leaves


class EngineThread:
    """Steps the engine while there is work, and carries out commands between steps.

    Callers make requests from prompts on their own threads. Another thread makes text of the new tokens (TextThread).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._text = TextThread(engine.text_maker(self._finish_later))
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._is_closing = False
        self._has_ended = False
        # Guards _has_ended: no command may get lost. Reentrant, since a garbage collection may withdraw a request at
        # any moment.
        self._lock = threading.RLock()
        self._own_threads = {self._text.thread}
        self._process_id = os.getpid()
        self._tokenizing = ThreadPoolExecutor(
            1, "jackfield-tokenizing", lambda: self._own_threads.add(threading.current_thread())
        )
        self._thread = threading.Thread(target=self._run, name="jackfield-engine", daemon=True)
        self._own_threads.add(self._thread)
        self._thread.start()

    # Called by any thread

    def add_all(
        self, requests: Sequence[EngineRequest], receiver: Receiver, *, stream: bool
    ) -> list[tuple[EngineRequest, RequestError]]:
        """Take requests in between two steps, all before the same step. Returns the refused ones with the reasons."""

        def add() -> list[tuple[EngineRequest, RequestError]]:
            refused = []
            for request in requests:
                try:
                    self._add(request, receiver, stream=stream)
                except RequestError as error:
                    refused.append((request, error))
            return refused

        return self.ask(add)

    def add(self, request: EngineRequest, receiver: Receiver, *, stream: bool) -> None:
        """Take a request in before the next step. Returns at once. If the request is wrong, the receiver gets the error."""

        def add() -> None:
            try:
                self._add(request, receiver, stream=stream)
            except Exception as error:  # an error of this request only
                receiver.fail(error)

        self.put(add)

    def withdraw(self, request: OpenRequest) -> None:
        """Abort a request before the next step. Returns at once."""
        self.put(lambda: self._abort([request]))

    def withdraw_all(self, receiver: Receiver) -> None:
        """Abort all requests of a receiver. Waits for the running step, but at most a second."""
        with suppress(EngineClosedError, TimeoutError):
            self.ask(lambda: self._abort(self._text.open_requests_of(receiver)), _WITHDRAW_S)

    def tokenize(self, work: Callable[[], None]) -> None:
        """Run `work`, which may take long, on the thread for such work, in the order of the calls."""
        self.check_process()
        try:
            self._tokenizing.submit(work)
        except RuntimeError:  # the thread pool was shut down
            raise EngineClosedError("the engine was closed; make a new one") from None

    def put(self, command: Callable[[], None]) -> None:
        """Let the engine's thread run `command` between two steps."""
        self.check_process()
        with self._lock:
            if not self._has_ended:
                self._commands.put(command)
                return
        command()  # it finds the engine closed and reports that

    def check_process(self) -> None:
        """Raise EngineClosedError in a fork of the engine's process: the fork has none of the threads."""
        if os.getpid() != self._process_id:
            raise EngineClosedError(
                f"this engine runs in process {self._process_id}; its fork {os.getpid()} cannot use it. Make a new one "
                "there, or start processes with the method 'spawn'"
            )

    def ask(self, question: Callable[[], T], timeout_s: float | None = None) -> T:
        """The answer of the engine's thread, given between two steps."""
        if threading.current_thread() in self._own_threads:
            timeout_s = 0.0  # it is done later
        answer: Future[T] = Future()

        def reply() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)

        self.put(reply)
        return answer.result(timeout_s)

    def close(self) -> None:
        """End the threads and the engine. Open requests get an EngineClosedError. May be called twice."""
        if os.getpid() != self._process_id:
            return
        is_own_thread = threading.current_thread() in self._own_threads
        self._tokenizing.shutdown(wait=not is_own_thread)
        self.put(self._stop)
        if is_own_thread:  # a garbage collection may call `close` on any thread
            return
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():  # a step hangs, or takes longer than that
            self._engine.end_workers()
            self._thread.join()

    # Called on the engine's thread

    def _run(self) -> None:
        error: BaseException = EngineClosedError("the engine was closed; make a new one")
        try:
            self._serve()
        except BaseException as failure:
            error = failure
        finally:
            self._text.end(error)
            self._engine.close()
            with self._lock:
                self._has_ended = True
            self._carry_out(wait=False)

    def _serve(self) -> None:
        engine = self._engine
        while True:
            self._carry_out(wait=not engine.has_unfinished and not engine.num_in_flight)
            if self._is_closing:
                return
            deltas = engine.step()
            if deltas:
                self._text.put(deltas)

    def _carry_out(self, *, wait: bool) -> None:
        """Carry out all commands that have come. If `wait` and there is none, wait for one."""
        commands = self._commands
        if wait:
            commands.get()()
        while not commands.empty():
            commands.get()()

    def _stop(self) -> None:
        self._is_closing = True

    def _add(self, request: EngineRequest, receiver: Receiver, *, stream: bool) -> None:
        opened = self._engine.add_request(request, stream=stream, receiver=receiver)
        self._text.begin(opened)
        receiver.taken(opened)

    def _abort(self, requests: Sequence[OpenRequest]) -> None:
        if self._engine.is_closed:
            return
        for request in requests:
            self._text.leave(request)
            deltas = self._engine.abort(request.request_id)
            if deltas and self._engine.observers.wants_requests:
                self._text.put(deltas)

    def _finish_later(
        self, output: OpenOutput, reason: FinishReason, stop_reason: str | None
    ) -> None:
        self.put(lambda: self._engine.finish(output, reason, stop_reason))
