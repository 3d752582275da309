"""An HTTP client for load: one connection for each request, and the time of each piece of the answer."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

from jackfield.errors import ConfigError

_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a server."""

    host: str
    port: int
    path: str  # prefix of all paths, without a slash at its end
    is_tls: bool
    headers: Mapping[str, str] = field(default_factory=dict)  # sent with every request

    @classmethod
    def of(cls, url: str, api_key: str | None = None) -> Target:
        """Make one from `http://HOST:PORT`, perhaps with a path; a `/v1` at its end is dropped. Raises ConfigError."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--url must be like http://localhost:8000, got {url!r}")
        is_tls = parts.scheme == "https"
        path = parts.path.rstrip("/").removesuffix("/v1")
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        port = parts.port or (443 if is_tls else 80)
        return cls(parts.hostname, port, path, is_tls, headers)


class Answer:
    """The status of an answer and the received part of its body. httptools calls its methods."""

    def __init__(self) -> None:
        self.status = 0
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_status(self, _: bytes) -> None:
        """The first line has arrived."""
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived, without the marks of chunks."""
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        self.is_complete = True


async def request(
    target: Target, method: str, path: str, body: bytes = b""
) -> AsyncGenerator[tuple[int, bytes, float], None]:
    """The status, bytes of the body, and the time of their arrival (time.perf_counter), piece by piece.

    Raises OSError if the connection fails or ends early.
    """
    context = ssl.create_default_context() if target.is_tls else None
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        writer.write(_head(target, method, path, len(body)) + body)
        answer = Answer()
        while not answer.is_complete:
            data = await reader.read(_READ_BYTES)
            now_s = time.perf_counter()
            if not data:
                raise ConnectionError("the server closed the connection before its answer ended")
            answer.parser.feed_data(data)
            if answer.pieces or answer.is_complete:
                pieces, answer.pieces = b"".join(answer.pieces), []
                yield answer.status, pieces, now_s
    finally:
        writer.close()


async def fetch(target: Target, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """The status and the whole body. Raises OSError."""
    pieces = [piece async for piece in request(target, method, path, body)]
    return pieces[-1][0], b"".join(data for _, data, _ in pieces)


def _head(target: Target, method: str, path: str, num_bytes: int) -> bytes:
    lines = [
        f"{method} {target.path}{path} HTTP/1.1",
        f"host: {target.host}:{target.port}",
        "content-type: application/json",
        f"content-length: {num_bytes}",
        "connection: close",
        *(f"{name}: {value}" for name, value in target.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
