"""Peers of a comparison, each in a process of its own: while one works the others sleep."""

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
    """One peer, in its process. `serve` sends what it has to say, then answers each of our questions until None."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.ready = self._answer()

    def measure(self, work: str, seed: int) -> float:
        """What `serve` answers, tokens a second."""
        self._pipe.send((work, seed))
        return float(self._answer())

    def _answer(self) -> Any:
        answer = self._pipe.recv()
        if isinstance(answer, RuntimeError):
            raise answer
        return answer


@contextmanager
def side(serve: Callable[..., None], *rest: Any) -> Iterator[Side]:
    """Runs `serve` in a process until the end of the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_guarded, args=(serve, theirs, *rest))
    process.start()
    theirs.close()
    try:
        yield Side(ours)
        ours.send(None)
        process.join()
    finally:
        process.kill()
