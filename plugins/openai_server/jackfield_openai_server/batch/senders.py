"""Senders of a batch's requests: to an engine of this process, or to a running server."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import httptools
from starlette.applications import Starlette
from starlette.types import Message

from jackfield_openai_server.bench.http import Target, fetch


class Sender(ABC):
    """Sends one request."""

    @abstractmethod
    async def send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of its answer. Raises OSError."""


class RemoteSender(Sender):
    """Sends to a server elsewhere."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """See Sender."""
        try:
            return await fetch(self._target, method, path, body)
        except httptools.HttpParserError as error:
            raise ConnectionError(f"what came is no HTTP: {error}") from None


class LocalSender(Sender):
    """Calls the application itself, without a socket: the same checks and the same answers."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """See Sender."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-length", str(len(body)).encode())],
            "client": ("batch", 0),
            "server": ("batch", 0),
        }
        answer = _Answer(body)
        await self._app(scope, answer.receive, answer.send)
        return answer.status, b"".join(answer.pieces)


class _Answer:
    """One call of the application."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.pieces: list[bytes] = []
        self._body: bytes | None = body

    async def receive(self) -> Message:
        """The body. After that it waits forever: this client never leaves."""
        if self._body is None:
            await asyncio.Future()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Keep the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.pieces.append(message.get("body", b""))
