# Part of: jackfield.executors.v1, jackfield.platforms.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from dataclasses import field
from jackfield.activation import ActivationPlan
from jackfield.cache import CacheGroup
from jackfield.config import EngineConfig
from jackfield.interfaces.model_source import ModelFiles
from jackfield.model_spec import ModelSpec
from jackfield.step import LateInputs
from jackfield.step import StepLimits
from jackfield.step import StepPlan
from jackfield.step import StepResult
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    activation: ActivationPlan
    config: EngineConfig
    spec: ModelSpec
    files: ModelFiles
    rank: int = 0
    num_ranks: int = 1
    stage: int = 0
    num_stages: int = 1
    local_rank: int = 0
    devices: int = 1
    rendezvous: str = ''
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    groups: tuple[CacheGroup, ...]
    block_bytes: tuple[int, ...]
    cache_bytes: int
    limits: StepLimits
    is_output_rank: bool = True
    details: Mapping[str, str] = field(default_factory=dict)
class Worker(ABC):

    @abstractmethod
    def load(self) -> WorkerReport:
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
