"""The executor with a process for each rank of this machine."""

from __future__ import annotations

import pickle
import socket
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import ClassVar

from jackfield.discovery.kinds import MODEL_SOURCES, MODELS, PLATFORMS
from jackfield.discovery.loading import calling, describe
from jackfield.executor.messages import Allocate, Load, Loaded, Sample, Start, Submit
from jackfield.executor.ranks import RankProcesses
from jackfield.executor.report import merge_reports, output_rank
from jackfield.interfaces.executor import Executor, ExecutorFactory
from jackfield.interfaces.worker import WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepPlan, StepResult


class MultiprocessExecutorFactory(ExecutorFactory):
    """The workers of all stages, each in a process of its own on this machine."""

    features: ClassVar[frozenset[str]] = frozenset({"executor.num_ranks"})

    def create(self, context: WorkerContext) -> Executor:
        """Make the executor; `launch` or `start` starts the processes."""
        return MultiprocessExecutor(context)


class MultiprocessExecutor(Executor):
    """Sends each plan to all ranks over pipes. A step is done when all ranks have answered.

    If a rank raises, exits, is killed or does not start in time, the engine ends; the rank's traceback or exit status
    is the cause. The other ranks are ended too. Ranks end with this process, however it ends.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        settings = context.config.executor
        self._group = RankProcesses(
            context.num_ranks * context.num_stages,
            settings.start_method,
            settings.close_timeout_s,
            describe(context.activation.selected(PLATFORMS)),
        )
        self._end = weakref.finalize(self, self._group.close)

    @property
    def depth(self) -> int:
        """As configured."""
        return self._context.config.executor.depth

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Process ids of the ranks, in order."""
        return tuple(rank.process.pid for rank in self._group.ranks)

    def launch(self) -> None:
        """Start a process for each rank."""
        try:
            self._group.launch()
        except BaseException:
            self._group.close(at_once=True)
            raise

    def start(self) -> WorkerReport:
        """Let all ranks load. Errors that a worker raises on purpose are raised unchanged."""
        self.launch()
        try:
            return self._start()
        except BaseException:
            self._group.close(at_once=True)
            raise

    def _start(self) -> WorkerReport:
        self._group.listen()
        context = replace(self._context, rendezvous=f"tcp://127.0.0.1:{_free_port()}")
        digest, platform = context.activation.digest, context.activation.selected(PLATFORMS)
        for process in self._group.ranks:
            stage, rank = divmod(process.rank, context.num_ranks)
            mine = _pickled(replace(context, rank=rank, stage=stage, local_rank=process.rank))
            process.send(pickle.dumps(Start(mine, digest, platform), 5))
        self._group.broadcast(Load())
        answers = self._group.gather("load its weights", self._timeout_s)
        reports = [answer.report for answer in answers if isinstance(answer, Loaded)]
        self._output_rank = output_rank(reports)
        return merge_reports(reports)

    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache on all ranks."""
        for rank in self._group.ranks:
            message = Allocate(tuple(num_blocks), rank.rank == self._output_rank)
            rank.send(pickle.dumps(message, 5))
        try:
            self._group.gather("make its cache", self._timeout_s)
        except BaseException:
            self._group.close(at_once=True)
            raise

    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Send the plan to all ranks."""
        future = self._group.steps.open(plan.step_id)
        self._group.broadcast(Submit(plan))
        return future

    def sample(self, step_id: int, late: LateInputs) -> None:
        """Send late inputs to all ranks."""
        self._group.broadcast(Sample(step_id, late))

    def close(self) -> None:
        """Let the steps in flight end, then end and reap all processes. Processes that do not end are killed."""
        self._end()

    @property
    def _timeout_s(self) -> float:
        return self._context.config.executor.start_timeout_s


def _pickled(context: WorkerContext) -> bytes:
    """The pickled context. Raises PluginLoadError that names the plugin whose object cannot be pickled."""
    try:
        return pickle.dumps(context, 5)
    except Exception:
        for part, kind in ((context.spec, MODELS), (context.files, MODEL_SOURCES)):
            makers = (s.plugin for s in context.activation.selections if s.plugin.kind == kind)
            for maker in makers:
                with calling(maker, "send to another process what was made by"):
                    pickle.dumps(part, 5)
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
