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
    """Everything that a worker is made from. It crosses process borders; only `rank`, `stage` and `local_rank` differ.

    A worker is one process with `devices` of the platform's resource. `num_ranks` workers share each layer, and
    `num_stages` groups of workers follow each other through the layers: there are `num_ranks * num_stages` workers.
    """

    activation: ActivationPlan  # made by the parent; the worker applies it unchanged
    config: EngineConfig  # effective: no value is "auto" any more
    spec: ModelSpec  # the model as data
    files: ModelFiles  # the model's files on the machine of the worker
    rank: int = 0  # index of this worker among the workers that share its layers, from 0
    num_ranks: int = 1  # workers that share each layer
    stage: int = 0  # index of the part of the layers that this worker has, from 0
    # executor.pipeline_parallel. More than one is the feature platform.num_stages.
    num_stages: int = 1
    # Index of this worker among the workers on its machine, from 0. It tells which devices the worker takes.
    local_rank: int = 0
    devices: int = 1  # devices that this worker drives (RankShape of the platform)
    # URL at which the ranks of one engine meet, e.g. tcp://127.0.0.1:PORT; empty if there is one rank. The executor
    # chooses a new URL for each start. Torch platforms need one, and a process of its own for each rank.
    rendezvous: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker knows after loading its weights, before the cache exists."""

    groups: tuple[CacheGroup, ...]  # the cache groups of the spec
    block_bytes: tuple[int, ...]  # bytes of one block of each group, on this rank
    cache_bytes: int  # memory that the cache may take on this rank
    limits: StepLimits  # limits of one step
    is_output_rank: bool = True  # True: the results of this rank count
    details: Mapping[str, str] = field(default_factory=dict)  # for `explain` and logs


class Worker(ABC):
    """One rank of a model on one device. The methods are called in the order they stand here, by one thread."""

    @abstractmethod
    def load(self) -> WorkerReport:
        """Load the weights. Raises ModelError or EngineError."""

    @abstractmethod
    def allocate(self, num_blocks: Sequence[int]) -> None:
        """Make the cache with `num_blocks` blocks for each group. Whatever speeds up the first step happens here too."""

    @abstractmethod
    def submit(self, plan: StepPlan) -> Future[StepResult]:
        """Start one step. Results resolve in the order of submission.

        If the device works by itself, this method returns at once; a worker on the host may return a resolved future. A
        future may also resolve only when its `result()` is called, by waiting for the device on the calling thread.
        Executors call `result()` in the order of submission. `close` resolves or cancels the futures that are left.
        An exception in the future, or raised by this method, ends the engine. Errors of one row belong in
        `StepResult.errors`.
        """

    @abstractmethod
    def sample(self, step_id: int, late: LateInputs) -> None:
        """Deliver the late inputs of a step whose plan says `awaits_late`."""

    @abstractmethod
    def close(self) -> None:
        """Free all memory. Called once, also after a failure."""
