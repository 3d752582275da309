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
    """The ranks of one engine behind one face. The methods are called in the order they stand here.

    A worker that raises or dies resolves every open future, and every later one, with a WorkerError that carries
    the worker's own traceback. Nothing hangs: `start` and `allocate` give up after executor.start_timeout_s, `close`
    after executor.close_timeout_s. Plans, late inputs and results arrive as they were sent, in all their fields.
    """

    @property
    @abstractmethod
    def depth(self) -> int:
        """Steps that may be in flight at once; at least 1."""

    def launch(self) -> None:
        """Start the processes of ranks, if they have some. Nothing else of the engine runs in threads yet."""

    @abstractmethod
    def start(self) -> WorkerReport:
        """Make the worker of each rank and load; the report that holds for all of them.

        That is the least `cache_bytes`, the largest `block_bytes` and the tightest limits. Several ranks are given one
        `WorkerContext.rendezvous`. Raises what a worker raised on purpose, else WorkerError. Ranks in processes of
        their own refuse an activation plan whose digest is not the engine's.
        """

    @abstractmethod
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache on all ranks."""

    @abstractmethod
    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Send one step to all ranks and return at once; resolves when all ranks are done, with the output rank's.

        Raises nothing: an executor that has failed or was closed returns a future with the error.
        """

    @abstractmethod
    def sample(self, step_id: int, late: LateInputs) -> None:
        """Send late inputs of a step whose plan says `awaits_late` to all ranks."""

    @abstractmethod
    def close(self) -> None:
        """Close every worker once, on its own thread, end all ranks and free everything; may be called twice.

        A step that hangs is killed, or left behind, after executor.close_timeout_s. Then every open step is an error.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorNeed:
    """What an engine asks of an executor. Whoever serves several workers declares `executor.num_ranks`."""

    FEATURE: ClassVar[str] = "executor"
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({"devices", "resource"})

    num_ranks: int = 1  # workers in all: RankShape.processes times executor.pipeline_parallel
    devices: int = 1  # that each worker drives (RankShape)
    resource: str = ""  # what these are called if devices are shared out (RankShape)
    platform: str  # its entry-point name


class ExecutorFactory(Card):
    """The card of an executor. `check(ExecutorNeed, facts)`."""

    @abstractmethod
    def create(self, context: WorkerContext) -> Executor:
        """An executor that makes its workers from `context`, each with its own `rank`, `stage` and `local_rank`.

        There are `context.num_ranks * context.num_stages` of them. Starts nothing yet.
        """
