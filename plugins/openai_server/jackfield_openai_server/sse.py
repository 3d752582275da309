"""Server-sent events: an answer that is sent while it is made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jackfield.errors import JackfieldError
from jackfield_openai_server.errors import ClientGone, as_api_error
from jackfield_openai_server.protocol.common import ErrorResponse

logger = logging.getLogger(__name__)
T = TypeVar("T")
DONE = b"data: [DONE]\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # turns off buffering in nginx
]
_encode = msgspec.json.Encoder().encode


def event(value: Any) -> bytes:
    """One event in OpenAI's streams."""
    return b"data: " + _encode(value) + b"\n\n"


def named_event(name: str, value: Any) -> bytes:
    """One event in Anthropic's streams and in those of responses."""
    return b"event: " + name.encode() + b"\ndata: " + _encode(value) + b"\n\n"


def error_event(error: Exception) -> bytes:
    """The event for an answer that fails after it has begun."""
    return event(ErrorResponse(as_api_error(error).details())) + DONE


class EventStream(Response):
    """Sends the pieces of `events`; each piece is one or more whole events.

    The status is sent with the first piece, so that an earlier error is an ordinary error answer. If the client leaves,
    `events` is closed. A client that reads nothing for `write_timeout_s` counts as one that left.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        failed: Any = error_event,
        write_timeout_s: float = 60.0,
    ) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self._failed = failed
        self._write_timeout_s = write_timeout_s
        self._sending_s: float | None = None  # since when a piece has been waiting for the client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called as an ASGI application."""
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            while not (writing.done() or leaving.done() or self._is_stuck()):
                await asyncio.wait(
                    (writing, leaving),
                    timeout=self._write_timeout_s / 4,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if not writing.done():
                writing.cancel()
                await asyncio.wait((writing,))
            if not writing.cancelled():
                writing.result()
        finally:
            leaving.cancel()
            writing.cancel()

    def _is_stuck(self) -> bool:
        """True if the client has read nothing for too long."""
        began_s = self._sending_s
        return began_s is not None and time.monotonic() - began_s > self._write_timeout_s

    async def _write(self, send: Send) -> None:
        events = self._events
        try:
            piece = await anext(events, b"")  # raises the error of a wrong request
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send(send, piece)
            try:
                async for piece in events:
                    await self._send(send, piece)
            except Exception as error:  # the status was sent, so the error becomes the last event
                if not isinstance(error, JackfieldError):
                    logger.exception("a stream failed")
                await self._send(send, self._failed(error))
            await send({"type": "http.response.body", "body": b""})
        finally:
            await events.aclose()

    async def _send(self, send: Send, piece: bytes) -> None:
        self._sending_s = time.monotonic()
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        self._sending_s = None


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all. If one fails, the others are cancelled before its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. If the client leaves before that, cancels it and raises ClientGone."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
