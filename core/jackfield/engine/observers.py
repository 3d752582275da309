"""Tells observers (plugins of the kind `hooks`) what happens; one that raises is reported once and dropped."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from jackfield.activation import ActivationPlan
from jackfield.config import EngineConfig
from jackfield.interfaces.hooks import PROJECT, Hooks
from jackfield.request import RequestOutput

logger = logging.getLogger(__name__)


class Observers:
    """False where there are none: then nobody need gather what they would be told."""

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self._managers: list[pluggy.PluginManager] = []
        for observer in observers:
            self.add(observer)

    def __bool__(self) -> bool:
        return bool(self._managers)

    def add(self, observer: object) -> None:
        """Register an object with methods marked `hookimpl`."""
        manager = pluggy.PluginManager(PROJECT)  # one each, so that they fail one by one
        manager.add_hookspecs(Hooks)
        try:
            manager.register(observer)
            manager.check_pending()
        except pluggy.PluginValidationError:
            logger.exception("the hooks of %s do not fit; it is not called", _name(observer))
        else:
            self._managers.append(manager)

    def engine_started(self, config: EngineConfig, activation: ActivationPlan) -> None:
        """The engine is ready."""
        self._tell("engine_started", config=config, activation=activation)

    def step_finished(self, stats: Mapping[str, float]) -> None:
        """A step was resolved."""
        self._tell("step_finished", stats=stats)

    def request_finished(self, output: RequestOutput) -> None:
        """A request ended."""
        self._tell("request_finished", output=output)

    def engine_stopped(self, error: BaseException | None) -> None:
        """The engine was closed."""
        self._tell("engine_stopped", error=error)

    def _tell(self, what: str, **values: Any) -> None:
        for manager in tuple(self._managers):
            try:
                getattr(manager.hook, what)(**values)
            except Exception:
                self._managers.remove(manager)
                (observer,) = manager.get_plugins()
                logger.exception("%s raised in %s and is no longer called", _name(observer), what)


def _name(observer: object) -> str:
    return f"{type(observer).__module__}.{type(observer).__qualname__}"
