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
    """A child that runs the engine. Calls `receive` for each message and `lost` once it has gone."""

    def __init__(self, receive: Callable[[ToServer], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._frames = FrameBuffer()
        self._decode = msgspec.msgpack.Decoder(ToServer).decode
        self._transport: asyncio.WriteTransport | None = None
        self._child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the child; it waits for its first message."""
        self._child, connection = take_child()
        await asyncio.get_running_loop().create_connection(lambda: self, sock=connection)

    @property
    def pid(self) -> int | None:
        """Its number."""
        return None if self._child is None else self._child.pid

    def send(self, message: ToEngine) -> None:
        """Does not wait; what a child that has gone should have got is dropped. Raises RequestError.

        That is of a number that no engine takes either: the wire has 64 bits for one.
        """
        try:
            data = frame(message)
        except OverflowError:
            text = "a number of the request does not fit in 64 bits; give a smaller one"
            raise RequestError(text) from None
        if self._transport is not None:
            self._transport.write(data)

    async def close(self, timeout_s: float) -> int | None:
        """Let it end, or kill it after that time; how it ended."""
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
        """Of asyncio.Protocol."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is of no such class

    def data_received(self, data: bytes) -> None:
        """Of asyncio.Protocol."""
        for body in self._frames.push(data):
            self._receive(self._decode(body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio.Protocol."""
        self._transport = None
        self._lost()
