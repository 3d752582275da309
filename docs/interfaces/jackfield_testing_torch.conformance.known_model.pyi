# Part of: jackfield_testing_torch 0.1
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Protocol
from torch import Tensor
from jackfield.interfaces.weights import Checkpoint
from jackfield.interfaces.weights import TensorInfo
from jackfield_testing_torch.conformance.transformers_family import logits_of
LENGTH = 48
STD = 0.2
TINY: Mapping[str, Any] = ...
class ConfigMeaning(Protocol):

    def complete(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        ...

    def logits(self, config: Mapping[str, Any], token_ids_T: Tensor) -> Tensor | None:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    logits: Callable[[Tensor], Tensor]
    written: Mapping[str, Any] = field(default_factory=dict)
    meaning: ConfigMeaning | None = None
def transformers_model(name: str, changes: Mapping[str, Any], config_name: str='', answers: Callable[[Any, Tensor], Tensor]=logits_of) -> KnownModel:
    ...
def write_known_model(model: KnownModel, folder: Path) -> None:
    ...
def random_text(vocab_size: int, length: int=LENGTH) -> Tensor:
    ...
@dataclass(slots=True)
class MemoryCheckpoint(Checkpoint):
    model: KnownModel
    changed: Mapping[str, Tensor | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    @property
    def config(self) -> Mapping[str, Any]:
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        ...

    def read(self, name: str) -> memoryview:
        ...

    def close(self) -> None:
        ...
