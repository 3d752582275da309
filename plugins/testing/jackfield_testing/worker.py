"""The worker of the reference platform: results that arrive late, and failures on demand."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from jackfield.config.options import read_options
from jackfield.dtypes import parse_dtype
from jackfield.engine.vectors import Vectors
from jackfield.interfaces.worker import Worker, WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult
from jackfield_testing.device import ReferenceDevice
from jackfield_testing.faults import BooksError, PlannedFault
from jackfield_testing.late_results import LateResults
from jackfield_testing.options import ReferenceOptions

DIE_STATUS = 13  # exit status of a process that the fault `die` ends


class ReferenceWorker(Worker):
    """One rank. All ranks of all stages compute the same; rank 0 of the last stage is the output rank.

    A step is computed when it is submitted, and answered when a device would: with several steps in flight, when
    later steps were submitted, or after a short idle time.
    """

    def __init__(self, context: WorkerContext) -> None:
        config, spec = context.config, context.spec
        self._context = context
        self._options = read_options(ReferenceOptions, "reference", config)
        dtype = spec.dtype if config.cache.dtype == "auto" else parse_dtype(config.cache.dtype)
        self._groups = spec.cache_groups(dtype)
        self._limits = StepLimits(
            max_rows=config.scheduler.max_rows, max_step_tokens=config.scheduler.max_step_tokens
        )
        self._device: ReferenceDevice | None = None
        self._num_steps = 0
        # Steps that wait for late inputs, their own or those of an earlier step.
        self._waiting: deque[_Step] = deque()
        self._results = LateResults(config.executor.depth - 1, self._options.idle_s)

    def load(self) -> WorkerReport:
        """Load nothing, and report a cache of the size in the options."""
        if self._is_faulty("load"):
            raise PlannedFault("options.reference.fault = 'load'")
        size = self._context.config.cache.block_size
        block_bytes = tuple(group.block_bytes(size) for group in self._groups)
        return WorkerReport(
            groups=self._groups,
            block_bytes=block_bytes,
            cache_bytes=self._options.cache_blocks * sum(block_bytes),
            limits=self._limits,
            is_output_rank=self._context.rank == 0 and self._is_last_stage,
            details={"device": "pure Python"},
        )

    @property
    def _is_last_stage(self) -> bool:
        return self._context.stage == self._context.num_stages - 1

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make empty caches."""
        spec, config = self._context.spec, self._context.config
        self._device = ReferenceDevice(
            self._groups,
            num_blocks,
            config.cache.block_size,
            vocab_size=spec.vocab_size,
            max_length=config.model.max_length or spec.max_length,
            limits=self._limits,
            options=self._options,
            vector_size=Vectors.of(spec).size,
            num_classes=spec.classifier.num_classes if spec.classifier else 1,
        )

    @property
    def device(self) -> ReferenceDevice:
        """Rows and caches, for tests to inspect."""
        assert self._device is not None, "the device exists between allocate() and close()"
        return self._device

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Compute now, and answer late."""
        future: Future[StepResult] = Future()
        self._waiting.append(_Step(plan, future))
        self._go_on()
        return future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Take the late inputs of a step."""
        for step in self._waiting:
            if step.plan.step_id == step_id and step.is_blocked:
                step.late = late
                self._go_on()
                return
        raise BooksError(f"late inputs came for step {step_id}, which awaits none")

    def close(self) -> None:
        """Answer what is computed, end the thread, and free the rows."""
        self._results.close()
        self._waiting.clear()
        self._device = None

    def _go_on(self) -> None:
        """Compute in order. A step without its late inputs holds up the steps after it."""
        while self._waiting and not self._waiting[0].is_blocked:
            step = self._waiting.popleft()
            self._num_steps += 1
            is_due = self._is_due()
            if self._options.step_s:
                time.sleep(self._options.step_s)
            if is_due:
                self._fail_before()
            result = self.device.run(step.plan, step.late or LateInputs())
            if is_due and self._is_faulty("hang"):
                self._results.hang(step.future)
            elif is_due and self._is_faulty("raise_late"):
                self._results.add(step.future, self._planned_fault())
            else:
                self._results.add(step.future, result)

    def _is_due(self) -> bool:
        """True if the fault happens in this step."""
        if self._options.fault_file is None:
            return self._num_steps == self._options.fault_step
        if self._options.fault_rank != self._context.rank:
            return False
        try:
            Path(self._options.fault_file).unlink()
        except FileNotFoundError:
            return False
        return True

    def _fail_before(self) -> None:
        """Raise the faults that come before a step is computed."""
        if self._is_faulty("die"):
            os._exit(DIE_STATUS)
        if self._is_faulty("raise"):
            raise self._planned_fault()
        if self._is_faulty("slow"):
            time.sleep(self._options.fault_s)

    def _is_faulty(self, fault: str) -> bool:
        return self._options.fault == fault and self._options.fault_rank == self._context.rank

    def _planned_fault(self) -> PlannedFault:
        return PlannedFault(
            f"options.reference.fault = {self._options.fault!r} at step {self._num_steps}"
        )


class _Step:
    """A submitted step that is not computed yet."""

    __slots__ = ("future", "late", "plan")

    def __init__(self, plan: StepPlan, future: Future[StepResult]) -> None:
        self.plan = plan
        self.future = future
        self.late: LateInputs | None = None

    @property
    def is_blocked(self) -> bool:
        return self.plan.awaits_late and self.late is None
