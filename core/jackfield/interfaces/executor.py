"""Executors: where the workers of one engine run, and how plans reach them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar

from jackfield.interfaces.card import Card
from jackfield.interfaces.worker import WorkerContext, WorkerReport
from jackfield.step import LateInputs, StepPlan, StepResult


class Executor(ABC):
    """All ranks of one engine as one object. The methods are called in the order they stand here.

    If a worker raises or dies, every open future and every later one gets a WorkerError that carries the worker's own
    traceback. Nothing hangs: `start` and `allocate` give up after executor.start_timeout_s, `close` after
    executor.close_timeout_s. Plans, late inputs and results arrive with all their fields unchanged.
    """

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of steps that may be in flight at once; at least 1."""

    def launch(self) -> None:
        """Start the processes of the ranks, if there are any. No other thread of the engine runs yet."""

    @abstractmethod
    def start(self) -> WorkerReport:
        """Make the worker of each rank, load the weights, and return one report that holds for all ranks.

        The report has the least `cache_bytes`, the largest `block_bytes` and the tightest limits of all ranks. If
        there are several ranks, all get the same `WorkerContext.rendezvous`. An error that a worker raised on purpose
        is raised again; any other failure raises WorkerError. A rank in a process of its own refuses an activation
        plan whose digest differs from the engine's.
        """

    @abstractmethod
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache on all ranks."""

    @abstractmethod
    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Send one step to all ranks and return at once. The future resolves with the result of the output rank when
        all ranks are done.

        Raises nothing: an executor that has failed or was closed returns a future that holds the error.
        """

    @abstractmethod
    def sample(self, step_id: int, late: LateInputs) -> None:
        """Send the late inputs of a step whose plan says `awaits_late` to all ranks."""

    @abstractmethod
    def close(self) -> None:
        """Close every worker once, on the worker's own thread, end all ranks and free everything. May be called twice.

        A step that hangs is killed, or left behind, after executor.close_timeout_s. Then every open step gets an error.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorNeed:
    """What an engine asks of an executor. An executor that serves several workers declares `executor.num_ranks`."""

    FEATURE: ClassVar[str] = "executor"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"devices", "resource"})

    num_ranks: int = 1  # all workers: RankShape.processes * executor.pipeline_parallel
    devices: int = 1  # devices that each worker drives (RankShape)
    # The name of these devices, if a scheduler shares devices out (RankShape).
    resource: str = ""
    platform: str  # entry-point name of the platform


class ExecutorFactory(Card):
    """The card of an executor. `check(ExecutorNeed, facts)`."""

    @abstractmethod
    def create(self, context: WorkerContext) -> Executor:
        """Make an executor. It makes its workers from `context`, each with its own `rank`, `stage` and `local_rank`.

        There are `context.num_ranks * context.num_stages` workers. This method starts nothing yet.
        """
