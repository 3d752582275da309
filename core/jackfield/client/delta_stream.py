"""The deltas of one request, for a caller in an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from jackfield.client.engine_thread import EngineThread
from jackfield.client.own_copy import own_copy
from jackfield.engine.deltas import Delta, OpenRequest
from jackfield.errors import RequestError
from jackfield.request import EngineRequest


class DeltaStream:
    """An async iterator, made and read in one event loop. A slow reader gets fewer, longer deltas.

    It ends after the delta with `is_last`. Cancelling the waiting task, closing the stream or dropping it withdraws the
    request: it leaves the scheduler before the next step, and its blocks are free when the steps in flight are done.
    """

    __slots__ = ("_merges", "inbox")

    def __init__(self, thread: EngineThread, *, merges: bool = True) -> None:
        self.inbox = Inbox(thread)
        self._merges = merges

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        inbox = self.inbox
        deltas = inbox.deltas
        while not deltas:
            if inbox.is_over:
                raise StopAsyncIteration
            await inbox.wait()
        delta = deltas.popleft()
        if self._merges:
            while deltas and deltas[0].output is delta.output:
                delta.append(deltas.popleft())
        inbox.is_over = delta.is_last
        return delta

    def close(self) -> None:
        """Withdraw the request if it has not ended. Returns at once. May be called twice, and from any thread."""
        self.inbox.close()

    async def aclose(self) -> None:
        """As `close`, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class Inbox:
    """The deltas that a stream has not read yet. The engine holds this object; the stream tells it if the reader leaves."""

    __slots__ = ("_error", "_request", "_thread", "_waiter", "deltas", "home", "is_over")

    def __init__(self, thread: EngineThread) -> None:
        self.home = asyncio.get_running_loop()
        self.deltas: deque[Delta] = deque()
        self.is_over = False  # the last delta was read, or nobody reads any more
        self._thread = thread
        self._request: OpenRequest | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    # Called by other threads

    def submit(self, request: EngineRequest, *, stream: bool) -> None:
        """Ask the engine for this request, unless its reader has left."""
        if not self.is_over:
            self._thread.add(request, self, stream=stream)

    def taken(self, request: OpenRequest) -> None:
        """The engine has taken the request in; called on its thread."""
        self._request = request
        if self.is_over:  # the reader left in the meantime
            self._thread.withdraw(request)

    def hand_over(self, deltas: Sequence[Delta]) -> bool:
        """Take the deltas for all streams of this event loop. False if the loop is gone; then their requests are
        withdrawn.
        """
        try:
            self.home.call_soon_threadsafe(_distribute, deltas)
        except RuntimeError:
            for delta in deltas:
                self._thread.withdraw(delta.request)
            return False
        return True

    def fail(self, error: BaseException) -> None:
        """Note that the request is wrong, or that the engine has ended."""
        mine = error if isinstance(error, RequestError) else own_copy(error)
        try:
            self.home.call_soon_threadsafe(self._raise, mine)
        except RuntimeError:
            return  # the event loop is closed

    def close(self) -> None:
        """Note that nobody reads any more."""
        if not self.is_over:
            self.is_over = True
            self.deltas.clear()
            if self._request is not None:
                self._thread.withdraw(self._request)

    # Called in the event loop

    async def wait(self) -> None:
        """Wait until there is a delta. Raises the error of the request or of the engine."""
        if self._error is None:
            self._waiter = self.home.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self.close()
                raise
            finally:
                self._waiter = None
        if self._error is not None and not self.deltas:
            self.is_over = True
            raise self._error

    def put(self, delta: Delta) -> None:
        """Take one delta."""
        if not self.is_over:
            self.deltas.append(delta)
            self._wake()

    def _raise(self, error: BaseException) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _distribute(deltas: Sequence[Delta]) -> None:
    """Give each inbox its deltas. Called in the event loop."""
    for delta in deltas:
        inbox = delta.output.open_request.receiver
        if isinstance(inbox, Inbox):  # otherwise its reader left
            inbox.put(delta)
