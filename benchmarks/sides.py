"""The sides of a comparison, each in its own process. While one works, the others sleep."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any


def _guarded(serve: Callable[..., None], pipe: Connection, *rest: Any) -> None:
    try:
        serve(pipe, *rest)
    except BaseException:
        pipe.send(RuntimeError(traceback.format_exc()))
        raise


class Side:
    """One side. Its function `serve` sends one message when it is ready, then answers each request until it gets None."""

    def __init__(self, pipe: Connection, pid: int) -> None:
        self._pipe, self.pid = pipe, pid
        self.ready = self._answer()

    def measure(self, work: str, seed: int) -> float:
        """The answer of `serve`, in tokens per second."""
        self._pipe.send((work, seed))
        return float(self._answer())

    def _answer(self) -> Any:
        answer = self._pipe.recv()
        if isinstance(answer, RuntimeError):
            raise answer
        return answer


@contextmanager
def side(serve: Callable[..., None], *rest: Any) -> Iterator[Side]:
    """Run `serve` in a process until the end of the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_guarded, args=(serve, theirs, *rest))
    process.start()
    assert process.pid is not None
    theirs.close()
    try:
        yield Side(ours, process.pid)
        ours.send(None)
        process.join()
    finally:
        process.kill()
