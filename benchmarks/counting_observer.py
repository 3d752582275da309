"""An observer that counts what it is told: registered as a plugin as often as a benchmark wants observers."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.interfaces.hooks import hookimpl
from jackfield.request import RequestOutput

made: list[CountingObserver] = []  # in the order in which engines made them


class CountingObserver:
    """Marks every hook there is, and counts."""

    def __init__(self) -> None:
        self.num_calls = 0
        made.append(self)

    @hookimpl
    def engine_started(self) -> None:
        """The engine is ready: not counted, it came before anything was measured."""

    @hookimpl
    def step_finished(self, stats: Mapping[str, float]) -> None:
        """A step was resolved."""
        self.num_calls += 1

    @hookimpl
    def request_finished(self, output: RequestOutput) -> None:
        """A request ended."""
        self.num_calls += 1

    @hookimpl
    def engine_stopped(self) -> None:
        """The engine was closed: not counted, nothing is measured any more."""
