"""A client for streamed answers that takes little of the processor: it reads an answer only when it has ended."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import cast

_USAGE = re.compile(rb'"completion_tokens": ?(\d+)')


@dataclass(frozen=True, slots=True)
class Ended:
    """One request that has ended."""

    num_tokens: int  # of the answer, as the server counts
    error: str | None


class _Keeping(asyncio.Protocol):
    """Sends one request and keeps what comes until the server closes the connection."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._pieces: list[bytes] = []
        self._ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        # uvloop's transports are none of asyncio's subclasses.
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._pieces.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if not self._ended.done():
            self._ended.set_result(exc)

    async def answer(self) -> bytes:
        """All that came. Raises what ended the connection early."""
        if (error := await self._ended) is not None:
            raise error
        return b"".join(self._pieces)


async def stream(host: str, port: int, path: str, body: bytes, timeout_s: float) -> Ended:
    """Post `body` and wait for the end of the streamed answer, whose last events are its usage and [DONE]."""
    head = f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            transport, keeping = await loop.create_connection(lambda: _Keeping(request), host, port)
            try:
                answer = await keeping.answer()
            finally:  # a server must not go on for a client that has given up
                transport.abort()
    except (OSError, TimeoutError) as error:
        return Ended(0, f"{type(error).__name__}: {error}")
    usage = _USAGE.findall(answer)
    if not answer.startswith(b"HTTP/1.1 200") or b"[DONE]" not in answer[-64:] or not usage:
        return Ended(0, answer[:300].decode(errors="replace"))
    return Ended(int(usage[-1]), None)
