"""Hooks: events that observers are told through pluggy. At most a few calls a step; none per token or layer."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

from jackfield.activation import ActivationPlan
from jackfield.config import EngineConfig
from jackfield.request import RequestOutput

PROJECT = "jackfield"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """Implement any of these methods in a class, mark them with `hookimpl`, and name the class in `jackfield.hooks.v1`.

    If an observer raises, the error is reported once and the observer is no longer called; requests are not affected.
    """

    @hookspec
    def engine_started(self, config: EngineConfig, activation: ActivationPlan) -> None:
        """The engine is ready."""

    @hookspec
    def step_finished(self, stats: Mapping[str, float]) -> None:
        """A step was resolved. `stats`: num_running, num_waiting, num_tokens, cache_usage, step_s."""

    @hookspec
    def request_finished(self, output: RequestOutput) -> None:
        """A request ended, for whatever reason. Called on the thread that makes text, before the reader gets the last
        output.
        """

    @hookspec
    def engine_stopped(self, error: BaseException | None) -> None:
        """The engine was closed, after the last `request_finished`. `error` is the error that ended the engine, or None."""
