"""Starts the process of the engine and connects it with an event loop."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from typing import cast

import msgspec

from jackfield.errors import RequestError
from jackfield_openai_server.engine.messages import FrameBuffer, ToEngine, ToServer, frame
from jackfield_openai_server.engine.spawn import take_child


class EngineProcess(asyncio.Protocol):
    """A child process that runs the engine. Calls `receive` for each message, and `lost` when the child has ended."""

    def __init__(self, receive: Callable[[ToServer], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._frames = FrameBuffer()
        self._decode = msgspec.msgpack.Decoder(ToServer).decode
        self._transport: asyncio.WriteTransport | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the child, which waits for its first message."""
        self._child, connection = take_child()
        await asyncio.get_running_loop().create_connection(lambda: self, sock=connection)

    @property
    def pid(self) -> int | None:
        """Process id of the child."""
        return None if self._child is None else self._child.pid

    def send(self, message: ToEngine) -> None:
        """Send without waiting. If the child has ended, the message is dropped. Raises RequestError.

        The error is for a number of more than 64 bits, which cannot be encoded; no engine would accept it either.
        """
        try:
            data = frame(message)
        except OverflowError:
            text = "a number of the request does not fit in 64 bits; give a smaller one"
            raise RequestError(text) from None
        if self._transport is not None:
            self._transport.write(data)

    async def close(self, timeout_s: float) -> int | None:
        """Let the child end, or kill it after `timeout_s`. Returns its exit status."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        child = self._child
        if child is None:
            return None
        try:
            return await asyncio.to_thread(child.wait, timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            return await asyncio.to_thread(child.wait)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        # Uvloop's transport has another class.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        for body in self._frames.push(data):
            self._receive(self._decode(body))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._lost()
