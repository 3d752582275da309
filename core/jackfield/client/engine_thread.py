"""An engine on a thread of its own, for callers in event loops."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from jackfield.engine.engine import Engine
from jackfield.engine.prompt import Prompt
from jackfield.errors import EngineClosedError, EngineError, JackfieldError
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams

_CLOSE_S = 30.0  # for the step that runs to end
Event = RequestOutput | Exception


class OutputStream:
    """What one caller waits for. Made and read in the caller's event loop."""

    def __init__(self, thread: EngineThread) -> None:
        self.loop = asyncio.get_running_loop()
        self.request_id: str | None = None  # set on the engine's thread
        self._thread = thread
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._is_finished = False

    async def next(self) -> RequestOutput | None:
        """The next output, None after the last. Raises what went wrong."""
        if self._is_finished:
            return None
        event = await self._events.get()
        if isinstance(event, Exception):
            self._is_finished = True
            raise event
        self._is_finished = event.finished
        return event

    def put(self, event: Event) -> None:
        """Called in the event loop."""
        self._events.put_nowait(event)

    def close(self) -> None:
        """Withdraw the request if it has not ended. Returns at once."""
        if not self._is_finished:
            self._is_finished = True
            self._thread.withdraw(self)


class EngineThread:
    """Steps the engine while there is work, and carries out commands between steps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._streams: dict[str, OutputStream] = {}  # by request id; used on the thread only
        self._is_closing = False
        self._has_ended = False
        self._lock = threading.Lock()  # around _has_ended: no command may get lost
        self._thread = threading.Thread(target=self._run, name="jackfield-engine", daemon=True)
        self._thread.start()

    # For callers

    def open(
        self,
        prompt: Prompt,
        sampling: SamplingParams | None,
        *,
        request_id: str | None,
        priority: int,
        cache_salt: str,
        stream_all: bool,
    ) -> OutputStream:
        """Ask for a request; outputs, or what is wrong with it, come through the stream."""
        stream = OutputStream(self)

        def add() -> None:
            try:
                request = self._engine.input.process(
                    prompt,
                    sampling,
                    request_id=request_id,
                    priority=priority,
                    cache_salt=cache_salt,
                )
                self._engine.add_request(request, stream=stream_all)
            except Exception as error:  # this request's own
                _deliver(stream.loop, [(stream, error)])
            else:
                stream.request_id = request.request_id
                self._streams[request.request_id] = stream

        self._put(add)
        return stream

    def withdraw(self, stream: OutputStream) -> None:
        """Abort the request of a stream, before the next step."""
        self._put(lambda: self._abort(stream))

    def close(self) -> None:
        """End the thread and the engine; open streams raise EngineClosedError. May be called twice."""
        self._put(self._stop)
        if threading.current_thread() is self._thread:
            return
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():  # a step hangs, or takes that long
            self._engine.end_workers()
            self._thread.join()

    def _put(self, command: Callable[[], None]) -> None:
        with self._lock:
            if not self._has_ended:
                self._commands.put(command)
                return
        command()  # which finds the engine closed and says so

    # On the thread

    def _run(self) -> None:
        error: BaseException = EngineClosedError("the engine was closed; make a new one")
        try:
            self._serve()
        except BaseException as failure:
            error = failure
        finally:
            self._engine.close()
            with self._lock:
                self._has_ended = True
            for request_id in tuple(self._streams):
                stream = self._streams.pop(request_id)
                _deliver(stream.loop, [(stream, _own_copy(error))])
            self._carry_out(wait=False)

    def _serve(self) -> None:
        engine = self._engine
        while True:
            self._carry_out(wait=not engine.has_unfinished and not engine.num_in_flight)
            if self._is_closing:
                return
            self._distribute(engine.step())

    def _carry_out(self, *, wait: bool) -> None:
        """All commands that have come; `wait` for one if there is none."""
        try:
            command = self._commands.get(block=wait)
            while True:
                command()
                command = self._commands.get_nowait()
        except Empty:
            return

    def _stop(self) -> None:
        self._is_closing = True

    def _abort(self, stream: OutputStream) -> None:
        request_id = stream.request_id
        if request_id is not None and self._streams.pop(request_id, None) is not None:
            self._engine.abort(request_id)

    def _distribute(self, outputs: Iterable[RequestOutput]) -> None:
        """One call into each event loop a step, however many outputs there are."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[OutputStream, Event]]] = {}
        for output in outputs:
            stream = self._streams[output.request_id]
            if output.finished:
                del self._streams[output.request_id]
            by_loop.setdefault(stream.loop, []).append((stream, output))
        for loop, events in by_loop.items():
            if not _deliver(loop, events):
                for stream, _ in events:
                    self._abort(stream)


def _deliver(loop: asyncio.AbstractEventLoop, events: list[tuple[OutputStream, Event]]) -> bool:
    """Hand events to streams in their event loop; False where that loop is gone."""

    def put() -> None:
        for stream, event in events:
            stream.put(event)

    try:
        loop.call_soon_threadsafe(put)
    except RuntimeError:
        return False
    return True


def _own_copy(error: BaseException) -> Exception:
    """An error for one caller, so that several can raise it without mixing their tracebacks."""
    if not isinstance(error, JackfieldError):
        error = EngineError(f"the engine has ended: {type(error).__name__}: {error}")
    mine = copy.copy(error)
    mine.__cause__ = error.__cause__ or error
    return mine
