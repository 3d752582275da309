"""What an open engine has and a closed one has not: its parts, its open requests, its counts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jackfield.discovery.kinds import EXECUTORS, TOKENIZERS
from jackfield.discovery.loading import describe
from jackfield.engine.input_processor import InputProcessor
from jackfield.engine.output_processor import OutputProcessor
from jackfield.engine.seeds import output_seed
from jackfield.engine.step_loop import StepLoop
from jackfield.errors import RequestError
from jackfield.request import EngineRequest, FinishReason, RequestOutput
from jackfield.scheduler import Request, SchedulerStats
from jackfield.startup.assembly import assemble, max_length
from jackfield.startup.blueprint import Blueprint
from jackfield.step import StepPlan, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """Totals since the engine was made, and the scheduler's figures of this moment."""

    num_steps: int
    num_tokens: int  # computed, of prompts and outputs
    num_finished: int  # requests
    scheduler: SchedulerStats


class Running:
    """The parts of an engine and what it works on."""

    def __init__(self, blueprint: Blueprint) -> None:
        config = blueprint.config
        self.parts = assemble(blueprint)
        tokenizer = self.parts.tokenizer
        tokenizer_name = describe(blueprint.plugin(TOKENIZERS)) if tokenizer is not None else ""
        self.input = InputProcessor(
            tokenizer,
            vocab_size=blueprint.spec.vocab_size,
            max_length=max_length(config),
            defaults=blueprint.model.sampling,
            unscaled_length=blueprint.spec.unscaled_length,
            missing_tokenizer=blueprint.model.missing_tokenizer,
            platform=blueprint.platform_in_words,
            features=blueprint.platform.features,
            tokenizer_name=tokenizer_name,
        )
        self.loop = StepLoop(
            self.parts.scheduler,
            self.parts.executor,
            step_timeout_s=config.executor.step_timeout_s,
            executor_name=describe(blueprint.plugin(EXECUTORS)),
        )
        self._output = OutputProcessor(tokenizer, self.parts.scheduler.finish, tokenizer_name)
        self._open: dict[str, tuple[Request, ...]] = {}
        self._seed = config.model.seed
        ends = tokenizer.end_token_ids if tokenizer is not None else ()
        self._end_token_ids = tuple(dict.fromkeys((*blueprint.spec.end_token_ids, *ends)))
        self._num_requests = self._num_steps = self._num_tokens = self._num_finished = 0

    @property
    def stats(self) -> EngineStats:
        """The figures of this moment."""
        return EngineStats(
            num_steps=self._num_steps,
            num_tokens=self._num_tokens,
            num_finished=self._num_finished,
            scheduler=self.parts.scheduler.stats,
        )

    def add(self, request: EngineRequest, *, stream: bool) -> None:
        """Queue a request with all its outputs. Raises RequestError."""
        if request.request_id in self._open:
            raise RequestError(
                f"there is an open request {request.request_id!r} already; ids must differ"
            )
        requests = self._siblings(request)
        self.parts.scheduler.add(*requests)
        self._num_requests += 1
        self._open[request.request_id] = requests
        self._output.add(request, requests, time.monotonic(), stream=stream)

    def end(self, request_id: str, reason: FinishReason) -> RequestOutput | None:
        """End an open request; its last output."""
        requests = self._open.pop(request_id, ())
        if not requests:
            return None
        for request in requests:
            self.parts.scheduler.finish(request, reason)
        self._num_finished += 1
        return self._output.end(requests, time.monotonic())

    def resolve(self, result: StepResult) -> tuple[list[RequestOutput], StepPlan, float]:
        """Apply the result of the oldest step: what to report, its plan, and the seconds that it took."""
        moved, plan, seconds = self.loop.resolve(result)
        outputs = self._output.process(moved, time.monotonic())
        for output in outputs:
            if output.finished:
                del self._open[output.request_id]
                self._num_finished += 1
        self._num_steps += 1
        self._num_tokens += sum(plan.num_tokens)
        return outputs, plan, seconds

    def _siblings(self, request: EngineRequest) -> tuple[Request, ...]:
        """The outputs of a request as the scheduler knows them; all but the first share its prompt."""
        seed = request.sampling.seed
        if seed is None:
            seed = self._seed + self._num_requests  # so that a run can be repeated
        parent: Request | None = None
        siblings: list[Request] = []
        for index in range(request.sampling.n):
            sibling = Request.from_engine_request(
                request,
                seed=output_seed(seed, index),
                end_token_ids=self._end_token_ids,
                index=index,
                parent=parent,
            )
            parent = parent or sibling
            siblings.append(sibling)
        return tuple(siblings)
