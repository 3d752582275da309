# Part of: jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from abc import abstractmethod
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import ClassVar
from jackfield.interfaces.card import Card
from jackfield.stored_linear import StoredLinear as StoredLinear
from jackfield_torch.interfaces.linear import ExpertLinear
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.linear import LinearShard
KIND = 'jackfield_torch.quantization'
@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationNeed:
    FEATURE: ClassVar[str] = 'quantization'
    PLAIN_FIELDS: ClassVar[frozenset[str]] = frozenset({'stored'})
    device: str
    dtype: str
    method: str = 'none'
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    stored: tuple[StoredLinear, ...] = field(default=(), hash=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPart:
    name: str
    in_size: int
    out_size: int
    bias: bool = False
    split: str = 'column'
    copies: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
class QuantizationScheme(Card):

    @abstractmethod
    def can_fuse(self, parts: Sequence[LinearPart]) -> bool:
        ...

    @abstractmethod
    def create(self, parts: Sequence[LinearPart], shard: LinearShard) -> Linear:
        ...

    def create_experts(self, experts: Sequence[Sequence[LinearPart]], shard: LinearShard) -> ExpertLinear | None:
        ...
