"""The engine as the server sees it: it takes requests, gives deltas, and is restarted if its process dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from jackfield import errors
from jackfield.errors import EngineClosedError, EngineError, JackfieldError
from jackfield.sampling import SamplingParams
from jackfield_openai_server.engine.messages import (
    Abort,
    Adapt,
    Adapted,
    Chosen,
    Delta,
    Failed,
    Figures,
    Look,
    Moved,
    Open,
    Opened,
    Stop,
    Submit,
    ToServer,
)
from jackfield_openai_server.engine.process import EngineProcess
from jackfield_openai_server.engine.stream import MakeText, RequestStream

logger = logging.getLogger(__name__)

_CLOSE_S = 15.0  # for the running step to end
_FIRST_PAUSE_S = 0.5  # before a dead engine is restarted; doubled for each failure in a row
_LONGEST_PAUSE_S = 30.0


class EngineClient:
    """Owns the engine's process. All methods run in one event loop.

    If the process dies, requests that have given out something fail; the others are sent to the next process.
    """

    def __init__(self, opening: Open) -> None:
        self.opened: Opened | None = None  # None until the engine is ready for the first time
        self.figures: Figures | None = None
        self.block_maps: list[str] = []  # as of the last `look`
        self.error: Exception | None = None  # why the engine is not ready
        self.num_restarts = 0
        self.num_queued = 0  # requests without a token
        self.num_queued_tokens = 0  # tokens of their prompts
        self._opening = opening
        self._process: EngineProcess | None = None
        self._streams: dict[int, RequestStream] = {}
        self._ids = itertools.count(1)
        self._chosen: asyncio.Future[Chosen] | None = None
        self._ready: asyncio.Future[Opened] | None = None
        self._is_closing = False
        self._revival: asyncio.Task[None] | None = None
        self._is_ready = False
        self._adapting: deque[asyncio.Future[None]] = deque()  # unanswered, in order
        self._moved_s = 0.0  # when the last step was seen

    # State

    @property
    def is_ready(self) -> bool:
        """True while requests are accepted."""
        return self._is_ready and not self._is_closing

    @property
    def pid(self) -> int | None:
        """Id of the engine's process."""
        return None if self._process is None else self._process.pid

    @property
    def num_open(self) -> int:
        """Requests that have not ended."""
        return len(self._streams)

    @property
    def stalled_s(self) -> float:
        """Seconds since the last step while requests wait; 0 if no request waits."""
        return time.monotonic() - self._moved_s if self._streams else 0.0

    # Actions

    async def begin(self) -> Chosen:
        """Start the engine. Returns its choices before it loads. Raises the error that prevents it."""
        loop = asyncio.get_running_loop()
        self._chosen, self._ready = loop.create_future(), loop.create_future()
        self._process = EngineProcess(self._receive, self._lost)
        await self._process.start()
        self._process.send(self._opening)
        return await self._chosen

    async def ready(self) -> Opened:
        """Wait for the engine that `begin` started. Raises the error that prevented it."""
        assert self._ready is not None, "begin() comes first"
        return await self._ready

    def submit(
        self,
        prompt: list[int],
        sampling: Mapping[str, Any],
        make_text: Callable[[SamplingParams], MakeText],
        *,
        priority: int = 0,
        cache_salt: str = "",
        stream: bool = True,
        trace_parent: str | None = None,
    ) -> RequestStream:
        """Send a request. Raises RequestError if it is wrong, EngineError if there is no engine."""
        self._check_ready()
        params = SamplingParams.from_mapping(sampling)
        fields = dict(sampling)
        request = Submit(next(self._ids), prompt, fields, priority, cache_salt, stream)
        request.trace_parent = trace_parent
        found = RequestStream(request, make_text(params), includes_stop=params.include_stop)
        return self._send(found)

    def submit_pooling(
        self,
        prompt: list[int],
        pooling: Mapping[str, Any],
        *,
        second_text: int | None = None,
        priority: int = 0,
        cache_salt: str = "",
    ) -> RequestStream:
        """Send a request for a vector. Raises as `submit`."""
        self._check_ready()
        request = Submit(
            next(self._ids), prompt, {}, priority, cache_salt, False, dict(pooling), second_text
        )
        return self._send(RequestStream(request, lambda: None, includes_stop=False))

    def _check_ready(self) -> None:
        if self._is_closing:
            raise EngineClosedError("the server is shutting down")
        if self._process is None or not self._is_ready:
            raise EngineError(f"the engine is not ready: {self.error or 'it is loading'}")

    def _send(self, found: RequestStream) -> RequestStream:
        assert self._process is not None, "it was checked"
        request = found.submit
        if not self._streams:
            self._moved_s = time.monotonic()
        # Raises if the request cannot be encoded; such a request is not sent again.
        self._process.send(request)
        self._streams[request.id] = found
        self.num_queued += 1
        self.num_queued_tokens += len(request.prompt)
        return found

    def withdraw(self, stream: RequestStream) -> None:
        """Note that nobody waits for the request any more. It leaves the engine before the engine's next step."""
        if self._streams.pop(stream.submit.id, None) is not None:
            self._leave_queue(stream)
            if self._process is not None:
                self._process.send(Abort(stream.submit.id))

    def look(self) -> None:
        """Ask what the blocks of the cache hold; `block_maps` is set when the answer comes."""
        if self._process is not None and self._is_ready:
            self._process.send(Look())

    async def change_adapter(self, name: str, path: str) -> None:
        """Load an adapter, or forget it if `path` is empty. Raises RequestError if the engine refuses."""
        self._check_ready()
        assert self._process is not None, "it was checked"
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._adapting.append(answer)
        self._process.send(Adapt(name, path))
        await answer
        # The next engine, if this one dies, is made with the same adapters.
        words = self._opening.words
        if path:
            words += ["--adapter", f"{name}={path}"]
            return
        for index in range(len(words) - 2, -1, -1):
            if words[index] == "--adapter" and words[index + 1].partition("=")[0] == name:
                del words[index : index + 2]

    async def close(self) -> None:
        """End the engine. Open requests fail."""
        self._is_closing = True
        if self._revival is not None:
            self._revival.cancel()
        self._fail_all(EngineClosedError("the server is shutting down"))
        if self._process is not None:
            await self._process.close(_CLOSE_S)

    # Messages of the process

    def _receive(self, message: ToServer) -> None:
        if isinstance(message, Moved):
            self._distribute(message)
        elif isinstance(message, Figures):
            if self.figures is None or message.num_steps != self.figures.num_steps:
                self._moved_s = time.monotonic()
            self.figures = message
            if message.block_maps is not None:
                self.block_maps, message.block_maps = message.block_maps, None
        elif isinstance(message, Adapted):
            self._answer_adapting(
                _error_of(Failed(message.error, message.message)) if message.error else None
            )
        elif isinstance(message, Opened):
            self._become_ready(message)
        elif isinstance(message, Chosen):
            if self._chosen is not None and not self._chosen.done():
                self._chosen.set_result(message)
        else:
            self.error = _error_of(message)
            self._fail_start(self.error)

    def _answer_adapting(self, error: Exception | None) -> None:
        answer = self._adapting.popleft()
        if answer.done():
            return  # the caller has left
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    def _distribute(self, moved: Moved) -> None:
        self._moved_s = time.monotonic()
        streams = self._streams
        for begin in moved.begun:
            if (stream := streams.get(begin.id)) is not None:
                stream.begin = begin
                self._leave_queue(stream)
        tokens = iter(moved.tokens)
        for request_id, token_id in zip(tokens, tokens, strict=True):
            if (stream := streams.get(request_id)) is not None:
                self._give(stream, Delta(request_id, 0, [token_id]))
        for delta in moved.deltas:
            if (stream := streams.get(delta.id)) is not None:
                self._give(stream, delta)
        for refusal in moved.refused:
            if (stream := streams.pop(refusal.id, None)) is not None:
                self._leave_queue(stream)
                stream.fail(_error_of(Failed(refusal.error, refusal.message)))

    def _give(self, stream: RequestStream, delta: Delta) -> None:
        stop = stream.put(delta)
        if stop is not None and self._process is not None:
            self._process.send(Stop(delta.id, delta.index, stop))
        if not stream.is_open:
            del self._streams[delta.id]
            if stream.num_open and self._process is not None:  # it failed in this process
                self._process.send(Abort(delta.id))

    def _leave_queue(self, stream: RequestStream) -> None:
        """Count a request that got its first token, or never will, as no longer queued."""
        if stream.is_queued:
            stream.is_queued = False
            self.num_queued -= 1
            self.num_queued_tokens -= len(stream.submit.prompt)

    def _become_ready(self, opened: Opened) -> None:
        self.opened, self.error, self._is_ready = opened, None, True
        self._moved_s = time.monotonic()
        for stream in self._streams.values():  # requests that a dead engine had not begun
            assert self._process is not None
            self._process.send(stream.submit)
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(opened)

    def _lost(self) -> None:
        """The process has ended, or is about to end."""
        self._is_ready = False
        self.figures, self.block_maps = None, []  # they were those of an engine that is no more
        if self._is_closing:
            return
        error = self.error or EngineError("the engine's process died")
        self.error = error
        self._fail_start(error)
        while self._adapting:
            self._answer_adapting(error)
        if self.opened is None:
            return  # it never ran: the caller that started it gets the error
        text = f"the engine ended before the answer did: {_first_line(error)}"
        for stream in tuple(self._streams.values()):
            stream.num_lost += 1
            if not stream.can_be_asked_again:
                del self._streams[stream.submit.id]
                self._leave_queue(stream)
                stream.fail(EngineError(text))
        logger.error("%s; it is started again, %d requests wait", error, len(self._streams))
        if self._revival is None or self._revival.done():
            self._revival = asyncio.get_running_loop().create_task(self._revive())

    def _fail_start(self, error: Exception) -> None:
        """Give the error to the caller that waits for the engine, in `begin` or `ready`."""
        for waiting in (self._chosen, self._ready):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)
                return

    async def _revive(self) -> None:
        """Restart the engine until it is ready."""
        pause_s = _FIRST_PAUSE_S
        while True:
            if self._process is not None:
                status = await self._process.close(_CLOSE_S)
                logger.error("the engine's process ended with status %s", status)
            self.num_restarts += 1
            try:
                await self.begin()
                await self.ready()
                return
            except JackfieldError as error:
                logger.error("the engine did not start again: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _fail_all(self, error: Exception) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._leave_queue(stream)
            stream.fail(error)


def _error_of(failed: Failed) -> Exception:
    """The error of the other process: of the same class, if that is one of ours."""
    cls = getattr(errors, failed.error, None)
    if isinstance(cls, type) and issubclass(cls, JackfieldError):
        return cls(failed.message)
    return EngineError(failed.message)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
