"""Tells observers (plugins of the kind `hooks`) what happens. If an observer raises, that is reported once, and the
observer is dropped.

Observers get copies, so that they can change nothing of the engine. Copies are made only if there is an observer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pluggy

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig
from jackfield.discovery.loading import FAULTS, describe, fix_for
from jackfield.interfaces.hooks import PROJECT, Hooks
from jackfield.request import RequestOutput

logger = logging.getLogger(__name__)


class Observers:
    """All observers of an engine. The truth value is False if there are none; then callers need not gather facts.

    pluggy checks which hooks an observer implements. Their methods are then bound once, because a call through pluggy
    takes twenty times as long as a direct call.
    """

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self._calls: dict[
            str, tuple[_Call, ...]
        ] = {}  # by hook: calls of the observers that implement it
        self._observers: list[object] = []
        for observer in observers:
            self.add(observer)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: object, plugin: PluginRef | None = None) -> None:
        """Register an object with methods marked `hookimpl`; `plugin` is the plugin that it comes from."""
        name = describe(plugin) if plugin else _name(observer)
        fix = f". {fix_for(plugin)}" if plugin else ""
        # Each observer has a manager of its own, so that observers fail one by one.
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(Hooks)
        try:
            manager.register(observer)
            manager.check_pending()
        except FAULTS:
            logger.exception("the hooks of %s do not fit; it is not called%s", name, fix)
            return
        self._observers.append(observer)
        for caller in manager.get_hookcallers(observer) or ():
            calls = (_Call(observer, bound, name, fix) for bound in _bound(caller))
            self._calls[caller.name] = (*self._calls.get(caller.name, ()), *calls)

    def engine_started(self, config: EngineConfig, activation: ActivationPlan) -> None:
        """The engine is ready."""
        if "engine_started" in self._calls:
            self._tell("engine_started", deepcopy(config), deepcopy(activation))

    @property
    def wants_steps(self) -> bool:
        """True if an observer wants to know of steps; only then their facts must be gathered."""
        return bool(self._calls.get("step_finished"))

    def step_finished(self, stats: Mapping[str, float]) -> None:
        """A step was resolved."""
        self._tell("step_finished", stats)

    @property
    def wants_requests(self) -> bool:
        """True if an observer wants to know of ended requests; only then their outputs must be made."""
        return bool(self._calls.get("request_finished"))

    def request_finished(self, output: RequestOutput) -> None:
        """A request ended. Called on the thread that makes text; all other hooks are called on the thread that steps."""
        if "request_finished" in self._calls:
            self._tell("request_finished", _copy_of(output))

    def engine_stopped(self, error: BaseException | None) -> None:
        """The engine was closed."""
        self._tell("engine_stopped", error)

    def _tell(self, what: str, *values: Any) -> None:
        for told in self._calls.get(what, ()):
            try:
                told.call(*values)
            except FAULTS:
                self._drop(told.observer)
                text = "%s raised in %s and is no longer called%s"
                logger.exception(text, told.name, what, told.fix)

    def _drop(self, observer: object) -> None:
        self._observers = [other for other in self._observers if other is not observer]
        for what, calls in self._calls.items():
            self._calls[what] = tuple(call for call in calls if call.observer is not observer)


@dataclass(frozen=True, slots=True)
class _Call:
    observer: object
    call: Callable[..., object]  # takes the values of the hook, in the order of its parameters
    name: str
    fix: str  # what a user can do if the call raises


def _bound(caller: pluggy.HookCaller) -> Iterator[Callable[..., object]]:
    """Calls of the one observer of a caller."""
    assert caller.spec is not None, "hooks without a specification do not pass check_pending"
    names = caller.spec.argnames
    impls = caller.get_hookimpls()
    # A wrapper is a generator, which pluggy must run.
    if any(impl.wrapper or impl.hookwrapper for impl in impls):
        yield lambda *values: caller(**dict(zip(names, values, strict=True)))
        return
    for impl in impls:
        yield impl.function if impl.argnames == names else _picking(impl, names)


def _copy_of(output: RequestOutput) -> RequestOutput:
    """A copy that shares no mutable object with `output`."""
    prompt_logprobs = output.prompt_logprobs
    return replace(
        output,
        prompt_token_ids=list(output.prompt_token_ids),
        outputs=[
            replace(
                completion,
                token_ids=list(completion.token_ids),
                logprobs=None if completion.logprobs is None else list(completion.logprobs),
            )
            for completion in output.outputs
        ],
        metrics=replace(output.metrics),
        prompt_logprobs=None if prompt_logprobs is None else list(prompt_logprobs),
        details=dict(output.details),
    )


def _picking(impl: pluggy.HookImpl, names: Sequence[str]) -> Callable[..., object]:
    """A call that passes only the values for which the method has parameters."""
    places = [names.index(name) for name in impl.argnames]
    return lambda *values: impl.function(*[values[place] for place in places])


def _name(observer: object) -> str:
    return f"{type(observer).__module__}.{type(observer).__qualname__}"
