# Part of: jackfield.speculators.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card
@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculatorNeed:
    FEATURE: ClassVar[str] = 'speculator'
    num_tokens: int
class Drafter(ABC):

    @abstractmethod
    def propose(self, token_ids: Sequence[int], num_unknown: int, num_tokens: int) -> Sequence[int]:
        ...
class Speculator(Card):

    @abstractmethod
    def create(self, config: EngineConfig) -> Callable[[], Drafter]:
        ...
