# Part of: jackfield.executors.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar
from jackfield.interfaces.card import Card
from jackfield.interfaces.worker import WorkerContext
from jackfield.interfaces.worker import WorkerReport
from jackfield.step import LateInputs
from jackfield.step import StepPlan
from jackfield.step import StepResult
class Executor(ABC):

    @property
    @abstractmethod
    def depth(self) -> int:
        ...

    def launch(self) -> None:
        ...

    @abstractmethod
    def start(self) -> WorkerReport:
        ...

    @abstractmethod
    def allocate(self, num_blocks: Sequence[int]) -> None:
        ...

    @abstractmethod
    def submit(self, plan: StepPlan) -> Future[StepResult]:
        ...

    @abstractmethod
    def sample(self, step_id: int, late: LateInputs) -> None:
        ...

    @abstractmethod
    def close(self) -> None:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorNeed:
    FEATURE: ClassVar[str] = 'executor'
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({'devices', 'resource'})
    num_ranks: int = 1
    devices: int = 1
    resource: str = ''
    platform: str
class ExecutorFactory(Card):

    @abstractmethod
    def create(self, context: WorkerContext) -> Executor:
        ...
