"""The engine: it takes checked requests, keeps steps in flight, and gives deltas. Used by one thread at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from jackfield.activation import ActivationPlan, PluginRef
from jackfield.config import EngineConfig
from jackfield.decision import Decision, summary
from jackfield.discovery.kinds import EXECUTORS
from jackfield.engine.deltas import Delta, OpenOutput, OpenRequest, Receiver
from jackfield.engine.input_processor import InputProcessor
from jackfield.engine.observers import Observers
from jackfield.engine.state import EngineState, EngineStats
from jackfield.engine.text_maker import Finish, TextMaker
from jackfield.errors import EngineClosedError, JackfieldError, PluginLoadError
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer
from jackfield.interfaces.worker import WorkerReport
from jackfield.request import EngineRequest, FinishReason
from jackfield.startup.assembly import close_executor
from jackfield.startup.blueprint import Blueprint
from jackfield.startup.chooser import hook_decision
from jackfield.startup.explanation import explain
from jackfield.step import StepPlan

logger = logging.getLogger(__name__)


class Engine:
    """One model, ready to answer. Use it as a context manager, or call `close`.

    If a worker fails, the engine ends: `step` raises the cause, and all later calls raise EngineClosedError from it.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        self._error: BaseException | None = None
        self._is_stop_told = False
        self._state: EngineState | None = EngineState(blueprint)
        blueprint = self._state.parts.blueprint
        self.observers, failed = _observers(blueprint)
        self._blueprint = _with_failed(blueprint, failed)
        logger.info("ready: %s", summary(self.decisions))
        if self.observers:
            self.observers.engine_started(self.config, self.activation)

    # What is there

    @property
    def config(self) -> EngineConfig:
        """The effective settings."""
        return self._blueprint.config

    @property
    def activation(self) -> ActivationPlan:
        """The plugins in use."""
        return self._blueprint.activation

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Every selection with its reasons."""
        return self._blueprint.decisions

    def explanation(self) -> dict[str, Any]:
        """The parts of the engine and the reasons for them, as `jackfield explain` writes them."""
        return explain(self._blueprint)

    @property
    def files(self) -> ModelFiles:
        """The model on this machine."""
        return self._blueprint.files

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Text to token ids and back; None if the model has none."""
        return self._open_state.parts.tokenizer

    @property
    def report(self) -> WorkerReport:
        """The report of the workers after loading."""
        return self._open_state.parts.report

    @property
    def num_blocks(self) -> tuple[int, ...]:
        """Blocks of each cache group."""
        return self._open_state.parts.num_blocks

    @property
    def vocab_size(self) -> int:
        """Token ids that a prompt may hold."""
        return self._blueprint.spec.vocab_size

    @property
    def input(self) -> InputProcessor:
        """Makes requests from prompts."""
        return self._open_state.input

    @property
    def has_unfinished(self) -> bool:
        """True while a request is open."""
        return self._open_state.parts.scheduler.has_unfinished

    @property
    def num_in_flight(self) -> int:
        """Steps in flight. When no request is open some steps can still be in flight; their results are void."""
        return self._open_state.loop.num_in_flight

    @property
    def is_closed(self) -> bool:
        """True after `close`, and after a failure."""
        return self._state is None

    @property
    def stats(self) -> EngineStats:
        """Figures for logs and benchmarks."""
        return self._open_state.stats

    def block_maps(self, most: int = 1024) -> list[str]:
        """Of each cache group a text with a letter for each block, or for every n-th if there are more than `most`:
        `.` free, `c` free with content that can be shared again, `u` used by one request, `s` shared by several.
        """
        return self._open_state.parts.scheduler.block_maps(most)

    # What it does

    def add_request(
        self, request: EngineRequest, *, stream: bool = False, receiver: Receiver | None = None
    ) -> OpenRequest:
        """Take a request in. If `stream`, each `step` that moves the request reports it; otherwise its end is
        reported once.

        `receiver` is passed on with the request's deltas. Raises RequestError if the request can never run, its id is
        in use, or the queue is full.
        """
        return self._open_state.add(request, stream=stream, receiver=receiver)

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may name (`SamplingParams.adapter`)."""
        return self._open_state.adapters

    def load_adapter(self, name: str, path: str) -> None:
        """Let requests name an adapter from now on. Workers read its weights before the next step.

        Raises RequestError if this engine takes no adapters, or the adapter does not fit.
        """
        self._open_state.load_adapter(name, path)

    def unload_adapter(self, name: str) -> None:
        """Let no request name an adapter any more. Raises RequestError if there is none, or requests still use it."""
        self._open_state.unload_adapter(name)

    def abort(self, request_id: str) -> list[Delta]:
        """Withdraw a request and return its last deltas; no deltas if it is not open any more.

        Its blocks become free when the steps in flight that name them are resolved.
        """
        return self._open_state.abort(request_id)

    def finish(self, output: OpenOutput, reason: FinishReason, stop_reason: str | None) -> None:
        """End one output because of its text: a stop string came, or the tokenizer failed.

        This makes no delta. If the output has ended already, nothing happens.
        """
        if self._state is not None:
            self._state.finish(output, reason, stop_reason)

    def step(self) -> list[Delta]:
        """Submit what can be planned, wait for the oldest step, and report what moved. Text is made elsewhere.

        Raises WorkerError, or another error that ended the engine. An interrupt during the wait does no harm.
        """
        state = self._open_state
        try:
            if not state.loop.launch():
                return []
        # An interrupt at this point leaves the state of the engine unknown.
        except BaseException as error:
            self._die(error)
            raise
        try:
            result = state.loop.wait()
        except Exception as error:
            self._die(error)
            raise
        try:
            deltas, plan, seconds = state.resolve(result)
        except BaseException as error:
            self._die(error)
            raise
        if self.observers.wants_steps:
            self._tell(state, plan, seconds)
        return deltas

    def text_maker(self, finish: Finish) -> TextMaker:
        """Make the object that makes text of this engine's deltas. `finish` must call `Engine.finish` on the stepping
        thread.
        """
        state = self._open_state
        return TextMaker(
            state.parts.tokenizer, finish, lambda: self.observers, state.tokenizer_name
        )

    def end_workers(self) -> None:
        """End the workers, from any thread. A `step` that waits for a hanging worker then raises."""
        state = self._state
        if state is not None:
            close_executor(state.parts.executor, self._blueprint.plugin(EXECUTORS))

    def close(self) -> None:
        """End the workers and free everything. May be called twice. Open requests are lost.

        Observers are told here, also of an error that ended the engine before: by then the caller has made the text of
        all deltas, so they have heard of every request that ended.
        """
        self._end()
        if not self._is_stop_told:
            self._is_stop_told = True
            if self.observers:
                self.observers.engine_stopped(self._error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Parts

    @property
    def _open_state(self) -> EngineState:
        if self._state is not None:
            return self._state
        if self._error is not None:
            raise EngineClosedError(
                f"the engine has ended: {_first_line(self._error)}. Make a new one"
            ) from self._error
        raise EngineClosedError("the engine was closed; make a new one")

    def _die(self, error: BaseException) -> None:
        self._error = error
        self._end()

    def _end(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            close_executor(state.parts.executor, self._blueprint.plugin(EXECUTORS))

    def _tell(self, state: EngineState, plan: StepPlan, seconds: float) -> None:
        scheduler = state.parts.scheduler
        self.observers.step_finished(
            {
                "num_running": scheduler.num_running,
                "num_waiting": scheduler.num_waiting,
                "num_tokens": sum(plan.num_tokens),
                "cache_usage": state.parts.blocks.usage,
                "step_s": seconds,
            }
        )


def _observers(blueprint: Blueprint) -> tuple[Observers, dict[PluginRef, PluginLoadError]]:
    """The observers that load, and the errors of the others."""
    found = Observers()
    failed: dict[PluginRef, PluginLoadError] = {}
    for ref in blueprint.hooks:
        try:
            found.add(blueprint.registry.card(ref), ref)
        except PluginLoadError as error:
            failed[ref] = error
            logger.warning("%s; it observes nothing", error)
    blueprint.registry.end_probes()
    return found, failed


def _with_failed(blueprint: Blueprint, failed: Mapping[PluginRef, PluginLoadError]) -> Blueprint:
    """The blueprint, with decisions that say which hooks failed to load."""
    registry = blueprint.registry
    told = {
        hook_decision(registry, ref): hook_decision(registry, ref, error)
        for ref, error in failed.items()
    }
    decisions = tuple(told.get(decision, decision) for decision in blueprint.decisions)
    return replace(blueprint, activation=replace(blueprint.activation, decisions=decisions))


def _first_line(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return text if isinstance(error, JackfieldError) else f"{type(error).__name__}: {text}"
