# Part of: jackfield.platforms.v1
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import ClassVar
from jackfield.config import EngineConfig
from jackfield.config import Scalar
from jackfield.interfaces.card import Card
from jackfield.interfaces.card import Facts
from jackfield.interfaces.worker import Worker
from jackfield.interfaces.worker import WorkerContext
from jackfield.model_spec import ModelSpec
@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicePoint:
    kind: str
    setting: str
    subject: str
    need: Any
    preference: tuple[str, ...] = ()
    match: Mapping[str, Scalar] = field(default_factory=dict)
    merit: str = ''
    remedy: str = ''
    covers: tuple[str, ...] = ()
@dataclass(frozen=True, slots=True, kw_only=True)
class RankShape:
    processes: int = 1
    devices: int = 1
    resource: str = ''
class Platform(Card):
    serves: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    bases: ClassVar[Mapping[str, type]] = {}
    logits_processors: ClassVar[str] = ''
    adapters: ClassVar[str] = ''
    precedence: ClassVar[int] = 0

    def adapted_modules(self, spec: ModelSpec) -> frozenset[str]:
        ...

    def defaults(self, facts: Facts) -> Mapping[str, Scalar]:
        ...

    def rank_shape(self, tensor_parallel: int, facts: Facts) -> RankShape:
        ...

    @abstractmethod
    def choices(self, spec: ModelSpec, config: EngineConfig, facts: Facts) -> tuple[ChoicePoint, ...]:
        ...

    @abstractmethod
    def create_worker(self, context: WorkerContext) -> Worker:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformNeed:
    FEATURE: ClassVar[str] = 'platform'
    model: ModelSpec
    dtype: str
    num_ranks: int = 1
    num_stages: int = 1
    num_drafts: int = 0
    num_adapters: int = 0
