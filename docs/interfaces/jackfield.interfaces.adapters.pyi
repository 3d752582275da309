# Part of: jackfield_torch.adapters.v1
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card
from jackfield.model_spec import ModelSpec
SECTION = 'adapters'
@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFiles:
    name: str
    path: str
    settings: Mapping[str, Any] = field(hash=False)
    shapes: Mapping[str, tuple[int, ...]] = field(hash=False)
    weights: str
@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterNeed:
    model: ModelSpec
    modules: frozenset[str]
    adapters: tuple[AdapterFiles, ...]
    config: EngineConfig = field(hash=False)
@dataclass(frozen=True, slots=True)
class AdapterChange:
    name: str
    path: str = ''
class AdapterFormat(Card):
    ...
