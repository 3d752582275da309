"""The worker: loads the model, makes the cache, and takes steps in the order in which they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from jackfield.cache import CacheGroup
from jackfield.dtypes import FLOAT16, FLOAT32, parse_dtype
from jackfield.errors import ConfigError
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult

from jackfield_acme_numpy.attention import PagedAttention
from jackfield_acme_numpy.cache import GroupCache
from jackfield_acme_numpy.decoder import Decoder, load_decoder
from jackfield_acme_numpy.platform import available_bytes
from jackfield_acme_numpy.rows import Rows
from jackfield_acme_numpy.runner import OpenStep, Runner

_FRACTION = 0.25  # share of the free memory that the cache may take
_MOST_BYTES = 4 << 30


@dataclass(slots=True)
class _Step:
    plan: StepPlan
    future: Future[StepResult]
    opened: OpenStep | None = None
    late: LateInputs | None = None


class NumpyWorker(Worker):
    """Computes a step when it is submitted, on the thread of the caller."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._decoder: Decoder | None = None
        self._runner: Runner | None = None
        self._steps: deque[_Step] = deque()  # unfinished steps, in the order of submission

    def load(self) -> WorkerReport:
        """Read the weights into memory, as float32."""
        config, groups = self._context.config, self._groups()
        self._decoder = load_decoder(self._context)
        block_bytes = tuple(group.block_bytes(config.cache.block_size) for group in groups)
        return WorkerReport(
            groups=groups,
            block_bytes=block_bytes,
            cache_bytes=config.cache.memory_bytes or self._cache_bytes(sum(block_bytes)),
            limits=StepLimits(
                max_rows=config.scheduler.max_rows,
                max_step_tokens=config.scheduler.max_step_tokens,
            ),
            details={"device": f"NumPy {np.__version__}"},
        )

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache and the rows. The system provides their memory when they are written."""
        assert self._decoder is not None, "load() comes first"
        config = self._context.config
        size = config.cache.block_size
        caches = [
            GroupCache(group, count, size)
            for group, count in zip(self._groups(), num_blocks, strict=True)
        ]
        rows = Rows(config.scheduler.max_rows, self._max_length, size, len(caches))
        self._runner = Runner(self._decoder, PagedAttention(caches, rows), rows)

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Compute the step, unless an earlier step still waits for late inputs."""
        step = _Step(plan, Future())
        self._steps.append(step)
        self._go_on()
        return step.future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Finish the step that waited for these inputs, and run the steps after it."""
        next(step for step in self._steps if step.plan.step_id == step_id).late = late
        self._go_on()

    def close(self) -> None:
        """Drop the weights and the cache."""
        self._steps.clear()
        self._decoder = self._runner = None

    def _go_on(self) -> None:
        assert self._runner is not None, "allocate() comes first"
        while self._steps:
            step = self._steps[0]
            step.opened = step.opened or self._runner.begin(step.plan)
            if step.plan.awaits_late and step.late is None:
                return  # the next step needs the tokens that this one draws
            self._steps.popleft()
            step.future.set_result(self._runner.finish(step.opened, step.late or LateInputs()))

    @property
    def _max_length(self) -> int:
        return self._context.config.model.max_length or self._context.spec.max_length

    def _groups(self) -> tuple[CacheGroup, ...]:
        word = self._context.config.cache.dtype
        dtype = FLOAT32 if word == "auto" else parse_dtype(word)
        if dtype not in (FLOAT32, FLOAT16):
            raise ConfigError(
                f"cache.dtype is {word}, which NumPy does not have; the platform numpy keeps keys and "
                "values in float32 or float16. Set one of these"
            )
        return self._context.spec.cache_groups(dtype)

    def _cache_bytes(self, block_bytes: int) -> int:
        """A share of the free memory, but not more than all rows need at their full length."""
        config = self._context.config
        num_blocks = -(-self._max_length // config.cache.block_size) * config.scheduler.max_rows
        return min(int(available_bytes() * _FRACTION), _MOST_BYTES, num_blocks * block_bytes)
