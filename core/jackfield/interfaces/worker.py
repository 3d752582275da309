"""The worker: one rank of a model on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from jackfield.activation import ActivationPlan
from jackfield.cache import CacheGroup
from jackfield.config import EngineConfig
from jackfield.interfaces.model_source import ModelFiles
from jackfield.model_spec import ModelSpec
from jackfield.step import LateInputs, StepLimits, StepPlan, StepResult


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """All that a worker is made from. Crosses process borders; only `rank`, `stage` and `local_rank` differ.

    A worker is one process with `devices` of the platform's resource. `num_ranks` workers share each layer, and
    `num_stages` groups of them follow each other through the layers, so there are `num_ranks * num_stages` workers.
    """

    activation: ActivationPlan  # the parent's, applied as it is
    config: EngineConfig  # effective: nothing says "auto" any more
    spec: ModelSpec  # the model as data
    files: ModelFiles  # on the machine of the worker
    rank: int = 0  # of this worker among those that share its layers, from 0
    num_ranks: int = 1  # workers that share each layer
    stage: int = 0  # which part of the layers it has, from 0
    num_stages: int = (
        1  # executor.pipeline_parallel; more than one is the feature platform.num_stages
    )
    local_rank: int = (
        0  # of this worker among those on its machine, from 0: it tells which devices it takes
    )
    devices: int = 1  # that this worker drives, as its platform's RankShape says
    # URL where the ranks of one engine meet, e.g. tcp://127.0.0.1:PORT; empty if there is one. The executor chooses it
    # anew for each start; torch platforms need one, and a process of its own for each rank
    rendezvous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker knows after its weights are loaded, before the cache exists."""

    groups: tuple[CacheGroup, ...]  # as the spec gives them
    block_bytes: tuple[int, ...]  # of one block of each group, on this rank
    cache_bytes: int  # memory that the cache may take on this rank
    limits: StepLimits  # of one step
    is_output_rank: bool = True  # its results count
    details: Mapping[str, str] = field(default_factory=dict)  # for `explain` and logs


class Worker(ABC):
    """One rank of a model on one device. The methods are called in the order they stand here, by one thread."""

    @abstractmethod
    def load(self) -> WorkerReport:
        """Load the weights. Raises ModelError or EngineError."""

    @abstractmethod
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache: `num_blocks` of each group. Whatever speeds up the first step happens here too."""

    @abstractmethod
    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Start one step; results resolve in the order of submission.

        A device that works by itself lets this return at once; a host worker may return a resolved future. A future may
        also resolve only when its `result()` is asked for, by waiting for the device on the thread that asks; executors
        ask in the order of submission. `close` resolves or cancels what is left.
        An exception in the future (or from here) ends the engine; errors of one row belong in `StepResult.errors`.
        """

    @abstractmethod
    def sample(self, step_id: int, late: LateInputs) -> None:
        """Bring the late inputs of a step whose plan says `awaits_late`."""

    @abstractmethod
    def close(self) -> None:
        """Free all memory. Called once, also after a failure."""
