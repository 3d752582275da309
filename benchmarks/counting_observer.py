"""An observer that counts its calls. A benchmark registers it as a plugin, as often as it wants observers."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.interfaces.hooks import hookimpl
from jackfield.request import RequestOutput

made: list[CountingObserver] = []  # all instances, in the order of their creation


class CountingObserver:
    """Implements every hook, and counts the calls."""

    def __init__(self) -> None:
        self.num_calls = 0
        made.append(self)

    @hookimpl
    def engine_started(self) -> None:
        """Not counted, because it comes before the measurement."""

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
        """Not counted, because it comes after the measurement."""
