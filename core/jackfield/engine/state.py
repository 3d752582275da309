"""The inside of an engine that is open: its parts, its open requests, its counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from jackfield.checkpoint.adapter import read_adapters
from jackfield.discovery.kinds import EXECUTORS, TOKENIZERS
from jackfield.discovery.loading import describe
from jackfield.engine.adapters import Adapters
from jackfield.engine.deltas import Delta, OpenOutput, OpenRequest, Receiver, delta_of, deltas_of
from jackfield.engine.grammars import Grammars
from jackfield.engine.input_processor import InputProcessor
from jackfield.engine.processors import Processors
from jackfield.engine.seeds import output_seed
from jackfield.engine.step_loop import StepLoop
from jackfield.engine.vectors import Vectors
from jackfield.errors import RequestError
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.request import EngineRequest, FinishReason
from jackfield.scheduler import SchedulerStats
from jackfield.startup.assembly import assemble
from jackfield.startup.blueprint import Blueprint
from jackfield.startup.cache_size import max_length
from jackfield.step import StepPlan, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """Totals since the engine was made, and the scheduler's figures of this moment."""

    num_steps: int
    num_tokens: int  # tokens computed, of prompts and outputs
    num_finished: int  # requests
    scheduler: SchedulerStats


class EngineState:
    """The parts of an open engine, and the state that they work on."""

    def __init__(self, blueprint: Blueprint) -> None:
        config = blueprint.config
        self.parts = assemble(blueprint)
        tokenizer = self.parts.tokenizer
        self.tokenizer_name = (
            describe(blueprint.plugin(TOKENIZERS)) if tokenizer is not None else ""
        )
        self._adapters = Adapters(read_adapters(config.adapters), check=blueprint.adapter_check)
        ends = tokenizer.end_token_ids if tokenizer is not None else ()
        self._end_token_ids = tuple(dict.fromkeys((*blueprint.spec.end_token_ids, *ends)))
        self.input = InputProcessor(
            tokenizer,
            vocab_size=blueprint.spec.vocab_size,
            max_length=max_length(self.parts.blueprint.loaded),
            defaults=blueprint.model.sampling,
            unscaled_length=blueprint.spec.unscaled_length,
            missing_tokenizer=blueprint.model.missing_tokenizer,
            platform=blueprint.platform_in_words,
            features=blueprint.platform.features,
            tokenizer_name=self.tokenizer_name,
            grammars=self._grammars(blueprint),
            processors=Processors(blueprint.logits_processors),
            adapters=self._adapters,
            vectors=Vectors.of(blueprint.spec),
            has_head=blueprint.spec.has_head,
        )
        self.loop = StepLoop(
            self.parts.scheduler,
            self.parts.executor,
            step_timeout_s=config.executor.step_timeout_s,
            executor_name=describe(blueprint.plugin(EXECUTORS)),
        )
        self._open: dict[str, OpenRequest] = {}
        self._seed = config.model.seed
        self._num_requests = self._num_steps = self._num_tokens = self._num_finished = 0

    def _grammars(self, blueprint: Blueprint) -> Grammars:
        tokenizer, vocabulary = self.parts.tokenizer, None
        if tokenizer is not None:
            size = blueprint.spec.vocab_size
            # A tokenizer may know more ids than the model.
            ends = tuple(t for t in self._end_token_ids if t < size)
            vocabulary = Vocabulary(tokenizer=tokenizer, size=size, end_token_ids=ends)
        makers = blueprint.grammar_makers
        return Grammars(makers, vocabulary, blueprint.model.missing_tokenizer)

    @property
    def stats(self) -> EngineStats:
        """The figures of this moment."""
        return EngineStats(
            num_steps=self._num_steps,
            num_tokens=self._num_tokens,
            num_finished=self._num_finished,
            scheduler=self.parts.scheduler.stats,
        )

    def add(
        self, request: EngineRequest, *, stream: bool, receiver: Receiver | None
    ) -> OpenRequest:
        """Queue a request with all its outputs. Raises RequestError."""
        if request.request_id in self._open:
            raise RequestError(
                f"there is an open request {request.request_id!r} already; ids must differ"
            )
        opened = OpenRequest(request, is_streamed=stream, receiver=receiver, now_s=time.monotonic())
        opened.outputs = self._outputs(opened)
        self.parts.scheduler.add(*opened.outputs)
        self._num_requests += 1
        self._open[request.request_id] = opened
        return opened

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may name."""
        return self._adapters.names

    def load_adapter(self, name: str, path: str) -> None:
        """Let requests name an adapter; the workers load it with the next step. Raises RequestError."""
        self.loop.change_adapters(self._adapters.load(name, path))

    def unload_adapter(self, name: str) -> None:
        """Let no request name an adapter any more. Raises RequestError if there is none, or requests still use it."""
        using = sum(opened.request.sampling.adapter == name for opened in self._open.values())
        if using:
            raise RequestError(
                f"{using} open requests use the adapter {name!r}; unload it when they have ended"
            )
        self.loop.change_adapters(self._adapters.unload(name))

    def abort(self, request_id: str) -> list[Delta]:
        """End an open request and return the last deltas of its open outputs."""
        request = self._open.get(request_id)
        if request is None:
            return []
        outputs = [output for output in request.outputs if output.finish_reason is None]
        for output in outputs:
            self.parts.scheduler.finish(output, FinishReason.ABORT)
        now_s = time.monotonic()
        deltas = [delta_of(output, now_s) for output in outputs]
        self._forget(request)
        for delta in deltas[:-1]:
            delta.more_follow = True
        return deltas

    def finish(self, output: OpenOutput, reason: FinishReason, stop_reason: str | None) -> None:
        """End one output because of its text. If the output has ended already, nothing happens."""
        if output.finish_reason is None:
            self.parts.scheduler.finish(output, reason, stop_reason)
            output.open_request.num_open -= 1
            if output.open_request.num_open == 0:
                self._forget(output.open_request)

    def resolve(self, result: StepResult) -> tuple[list[Delta], StepPlan, float]:
        """Apply the result of the oldest step. Returns what to report, the step's plan, and the seconds that it took."""
        moved, plan, seconds = self.loop.resolve(result)
        deltas = deltas_of(cast("Sequence[OpenOutput]", moved), time.monotonic())
        for delta in deltas:
            if delta.ending is not None and delta.request.num_open == 0:
                self._forget(delta.request)
        self._num_steps += 1
        self._num_tokens += sum(plan.num_tokens)
        return deltas, plan, seconds

    def _forget(self, request: OpenRequest) -> None:
        """Remove a request whose outputs have all ended."""
        if self._open.pop(request.request_id, None) is not None:
            self._num_finished += 1

    def _outputs(self, opened: OpenRequest) -> list[OpenOutput]:
        """The outputs of a request; all but the first share its prompt."""
        request = opened.request
        seed = request.sampling.seed
        if seed is None:
            seed = self._seed + self._num_requests  # so that a run can be repeated
        parent: OpenOutput | None = None
        outputs: list[OpenOutput] = []
        for index in range(request.sampling.n):
            output = OpenOutput(
                request,
                seed=output_seed(seed, index),
                end_token_ids=self._end_token_ids,
                index=index,
                parent=parent,
            )
            output.follow(opened)
            parent = parent or output
            outputs.append(output)
        return outputs
