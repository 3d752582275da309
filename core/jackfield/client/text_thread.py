"""The thread that makes text: takes the deltas of each step from the engine's thread, hands them to their receivers."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from queue import SimpleQueue

from jackfield.engine.deltas import Delta, OpenRequest, Receiver
from jackfield.engine.text_maker import TextMaker

_MAX_BEHIND = 8  # steps whose text is not made yet; then the engine waits


class TextThread:
    """Deltas of one step after the other; at the end an error for all requests that are open then."""

    def __init__(self, maker: TextMaker) -> None:
        self._maker = maker
        self._steps: SimpleQueue[Sequence[Delta] | BaseException] = SimpleQueue()
        self._room = threading.Semaphore(_MAX_BEHIND)
        self._open: set[OpenRequest] = set()
        self._fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="jackfield-text", daemon=True)
        self.thread.start()

    def begin(self, request: OpenRequest) -> None:
        """A request was taken in: from now on its receiver is told how it goes on."""
        self._open.add(request)

    def leave(self, request: OpenRequest) -> None:
        """Nobody waits for this request any more."""
        request.receiver = None
        self._open.discard(request)

    def put(self, deltas: Sequence[Delta]) -> None:
        """The deltas of a step. Waits where text is far behind, so that it cannot pile up."""
        self._room.acquire()
        if self._fault is not None:
            raise self._fault
        self._steps.put(deltas)

    def open_requests_of(self, receiver: Receiver) -> list[OpenRequest]:
        """Those that have not ended."""
        return [request for request in tuple(self._open) if request.receiver is receiver]

    def end(self, error: BaseException) -> None:
        """Make what text there is to make, tell all who still wait of the error, and end the thread."""
        self._steps.put(error)
        self.thread.join()

    def _run(self) -> None:
        try:
            while not isinstance(step := self._steps.get(), BaseException):
                self._room.release()
                self._hand_over(self._maker.make(step))
        except BaseException as fault:  # of this program: the engine must not wait for it
            self._fault = step = fault
            self._room.release()
        for request in tuple(self._open):
            if request.receiver is not None:
                request.receiver.fail(step)

    def _hand_over(self, deltas: Sequence[Delta]) -> None:
        """One call for each home, however many deltas there are."""
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
