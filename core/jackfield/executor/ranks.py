"""All ranks of a multiprocess engine: a thread that listens to them, and what happens if one fails."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from queue import Empty, SimpleQueue

from jackfield.errors import EngineClosedError, WorkerError
from jackfield.executor.messages import Close, Completed, Failed, Reply, WhereAreYou, WhereIAm
from jackfield.executor.pending import PendingSteps
from jackfield.executor.rank_process import RankProcess, end_all

# After a first failure: time for other failures to show. One of them may be the cause.
_SETTLE_S = 0.3
# How a communication library ends its process when a peer is gone. Such an end is never the cause.
_FOLLOWS = {-signal.SIGABRT, -signal.SIGTERM}


class RankProcesses:
    """Processes in the order of their ranks. They know nothing of the executor that holds them."""

    def __init__(
        self, num_ranks: int, start_method: str, close_timeout_s: float, platform: str = ""
    ) -> None:
        self.steps = PendingSteps(num_ranks)
        self.ranks: list[RankProcess] = []
        self._num_ranks = num_ranks
        self._start_method = start_method
        self._platform = platform
        self._close_timeout_s = close_timeout_s
        self._answers: SimpleQueue[tuple[int, Reply | WhereIAm]] = SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="jackfield-ranks", daemon=True)
        self._closing = threading.Event()
        self._owner_pid = os.getpid()

    def launch(self) -> None:
        """Start all processes, once."""
        for rank in range(len(self.ranks), self._num_ranks):
            self.ranks.append(RankProcess(rank, self._start_method, self._platform))

    def listen(self) -> None:
        """Start to receive the replies of the processes."""
        self._listener.start()

    def broadcast(self, message: object) -> None:
        """Send one message to all ranks, pickled once."""
        payload = pickle.dumps(message, 5)
        for rank in self.ranks:
            rank.send(payload)

    def gather(self, doing: str, timeout_s: float) -> list[Reply]:
        """The answer of each rank, in order, to the last question.

        Raises the error that ended a failed rank, or WorkerError when the time is over.
        """
        deadline_s = time.monotonic() + timeout_s
        found: dict[int, Reply] = {}
        while len(found) < self._num_ranks:
            try:
                rank, answer = self._answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except Empty:
                missing = [rank for rank in self.ranks if rank.rank not in found]
                raise self._hang(missing, doing, timeout_s) from None
            if isinstance(answer, Failed):
                raise answer.as_start_error()
            if not isinstance(answer, WhereIAm):
                found[rank] = answer
        return [found[rank] for rank in range(self._num_ranks)]

    def close(self, *, at_once: bool = False) -> None:
        """End and reap all processes within a bounded time. Open steps end first, unless `at_once`."""
        if os.getpid() != self._owner_pid:
            return  # this is a fork: the processes belong to the parent's engine
        self._closing.set()
        if not at_once:
            self.broadcast(Close())
        end_all(self.ranks, time.monotonic() + (0.0 if at_once else self._close_timeout_s))
        if self._listener.is_alive() and self._listener is not threading.current_thread():
            self._listener.join()  # all pipes are closed at their other ends, so the listener ends
        self.steps.fail(EngineClosedError("the engine was closed; make a new one"))
        for rank in self.ranks:
            rank.close()

    # On the listening thread

    def _listen(self) -> None:
        listening = set(self.ranks)
        while listening:
            for rank, source in _ready(listening):
                reply = rank.receive(source)
                if isinstance(reply, Completed):
                    self.steps.complete(reply.step_id, reply.result)
                elif reply is None and self._closing.is_set():
                    listening.discard(rank)
                elif reply is None or isinstance(reply, Failed):
                    self._fail(listening, rank, reply)
                    return
                else:
                    self._answers.put((rank.rank, reply))

    def _fail(self, listening: set[RankProcess], first: RankProcess, reply: Failed | None) -> None:
        """Find the failure that caused the others, resolve all steps with it, and end all ranks."""
        failures = {first: first.failure(reply)}
        listening.discard(first)
        deadline_s = time.monotonic() + _SETTLE_S
        while listening and (left_s := deadline_s - time.monotonic()) > 0:
            for other, source in _ready(listening, left_s):
                following = other.receive(source)
                if isinstance(following, Completed):  # of a step before the failure
                    self.steps.complete(following.step_id, following.result)
                elif following is None or isinstance(following, Failed):
                    failures[other] = other.failure(following)
                    listening.discard(other)
        cause = _cause(failures)
        self.steps.fail(cause.as_error())
        self._answers.put((first.rank, cause))
        end_all(self.ranks, 0.0)

    # On the calling thread

    def _hang(self, missing: list[RankProcess], doing: str, timeout_s: float) -> WorkerError:
        """The error for ranks that did not answer, with the stack of the first one."""
        names = ", ".join(rank.name for rank in missing)
        missing[0].send(pickle.dumps(WhereAreYou(), 5))
        stack = ""
        with contextlib.suppress(Empty):
            while not stack:
                _, answer = self._answers.get(timeout=1.0)
                stack = answer.stack if isinstance(answer, WhereIAm) else ""
        return WorkerError(
            f"{names} did not {doing} within executor.start_timeout_s = {timeout_s:g} s. Raise it if the model is "
            f"that large{'' if stack else '; the process does not tell where it stands'}",
            stack and f"{names} stood here:\n{stack}",
        )


def _ready(
    ranks: Iterable[RankProcess], timeout_s: float | None = None
) -> Iterator[tuple[RankProcess, object]]:
    """The ranks that have replied or ended, each once, with the source that shows it."""
    owners = {source: rank for rank in ranks for source in rank.sources}
    found: dict[RankProcess, object] = {}
    for source in wait(list(owners), timeout_s):
        assert isinstance(source, Connection | int)
        found[owners[source]] = source
    yield from found.items()


def _cause(failures: dict[RankProcess, Failed]) -> Failed:
    """The failure to report: a process that was killed without a reply, else the first failure."""

    def follows(rank: RankProcess) -> bool:
        status = rank.status(0.0)
        return failures[rank].error is not None or status is None or status in {0, *_FOLLOWS}

    ranks = list(failures)
    cause = next((rank for rank in ranks if not follows(rank)), ranks[0])
    others = [f"\nAfterwards {failures[rank].summary}" for rank in ranks if rank is not cause]
    found = failures[cause]
    return Failed(found.summary + "".join(others), found.traceback, found.error)
