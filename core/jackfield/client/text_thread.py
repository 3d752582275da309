"""The thread that makes text: it takes the deltas of each step from the engine's thread and hands them to receivers."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from queue import SimpleQueue

from jackfield.engine.deltas import Delta, OpenRequest, Receiver
from jackfield.engine.text_maker import TextMaker

# Most steps whose text is not made yet. If there are more, the engine waits.
_MAX_BEHIND = 8


class TextThread:
    """Takes the deltas of one step after the other. When the engine ends, it gives open requests the error."""

    def __init__(self, maker: TextMaker) -> None:
        self._maker = maker
        self._steps: SimpleQueue[Sequence[Delta] | BaseException] = SimpleQueue()
        self._room = threading.Semaphore(_MAX_BEHIND)
        self._open: set[OpenRequest] = set()
        self._fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="jackfield-text", daemon=True)
        self.thread.start()

    def begin(self, request: OpenRequest) -> None:
        """Note that a request was taken in. From now on its receiver gets its deltas."""
        self._open.add(request)

    def leave(self, request: OpenRequest) -> None:
        """Note that nobody waits for this request any more."""
        request.receiver = None
        self._open.discard(request)

    def put(self, deltas: Sequence[Delta]) -> None:
        """Take the deltas of a step. If the text thread is far behind, this waits, so that deltas cannot pile up."""
        self._room.acquire()
        if self._fault is not None:
            raise self._fault
        self._steps.put(deltas)

    def open_requests_of(self, receiver: Receiver) -> list[OpenRequest]:
        """The open requests of a receiver."""
        return [request for request in tuple(self._open) if request.receiver is receiver]

    def end(self, error: BaseException) -> None:
        """Make the text of all deltas that are left, give the error to all open requests, and end the thread."""
        self._steps.put(error)
        self.thread.join()

    def _run(self) -> None:
        try:
            while not isinstance(step := self._steps.get(), BaseException):
                self._room.release()
                self._hand_over(self._maker.make(step))
        # A fault of this program must not let the engine wait.
        except BaseException as fault:
            self._fault = step = fault
            self._room.release()
        for request in tuple(self._open):
            if request.receiver is not None:
                request.receiver.fail(step)

    def _hand_over(self, deltas: Sequence[Delta]) -> None:
        """Hand deltas over, with one call for each home."""
        by_home: dict[Hashable, list[Delta]] = {}
        home: Hashable = None
        mine: list[Delta] = []
        for delta in deltas:
            request = delta.output.open_request
            if delta.is_last:
                self._open.discard(request)
            if (receiver := request.receiver) is not None:
                if receiver.home is not home:
                    home = receiver.home
                    mine = by_home.setdefault(home, [])
                mine.append(delta)
        for mine in by_home.values():
            receiver = mine[0].output.open_request.receiver
            if receiver is not None:
                receiver.hand_over(mine)
