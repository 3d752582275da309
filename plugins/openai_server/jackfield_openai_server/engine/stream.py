"""What one request is answered with, as its handler in the event loop reads it."""

from __future__ import annotations

import asyncio

from jackfield_openai_server.engine.messages import Delta, Finish, Submit


class RequestStream:
    """Deltas of one request. Filled by the connection, read by one task of the same event loop."""

    __slots__ = ("_deltas", "_error", "_waiter", "finish", "has_begun", "is_queued", "submit")

    def __init__(self, submit: Submit) -> None:
        self.submit = submit
        self.has_begun = False  # True once a delta came: it cannot be asked for again
        self.is_queued = True  # kept by the client
        self.finish: Finish | None = None  # set with the last deltas
        self._deltas: list[Delta] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> list[Delta]:
        """All deltas since the last call, at least one; none after the end. Raises what went wrong."""
        if not self._deltas and self.finish is None and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._deltas:
            deltas, self._deltas = self._deltas, []
            return deltas
        if self._error is not None:
            raise self._error
        return []

    @property
    def is_open(self) -> bool:
        """False once the request has ended, or failed."""
        return self.finish is None and self._error is None

    def put(self, delta: Delta) -> None:
        """What an output gained."""
        self.has_begun = True
        self._deltas.append(delta)
        self._wake()

    def end(self, finish: Finish) -> None:
        """No more comes."""
        self.finish = finish
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more comes, and this is why."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
