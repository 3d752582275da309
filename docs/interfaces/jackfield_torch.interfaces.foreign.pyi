# Part of: jackfield_torch 0.1
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from typing import Protocol
import torch
from torch import Tensor
from jackfield.interfaces.weights import Checkpoint
from jackfield.model_spec import ModelSpec
from jackfield_torch.interfaces.linear import Linear
from jackfield_torch.interfaces.quantization import LinearPart
RUNTIME = 'jackfield_torch'
class ForeignStep(Protocol):

    def attend(self, layer: int, q_TNH: Tensor, k_TKH: Tensor, v_TKH: Tensor) -> Tensor:
        ...
class Ranks(Protocol):
    rank: int
    num_ranks: int

    def all_reduce(self, x: Tensor) -> Tensor:
        ...

    def all_gather(self, x: Tensor) -> Tensor:
        ...
class Parameters(Protocol):

    def has(self, module: str, parameter: str) -> bool:
        ...

    def read(self, module: str, parameter: str, shape: tuple[int, ...] | None=None) -> Tensor:
        ...

    def norm_weight(self, module: str, size: int, fill: float) -> Tensor:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignContext:
    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype
    max_length: int
    ranks: Ranks
    parameters: Parameters
    linear: Callable[[LinearPart, Tensor | None], Linear]
class ForeignDecoder(ABC):
    sinks: Mapping[int, Tensor] = {}
    can_capture: ClassVar[bool] = False
    details: Mapping[str, str] = {}

    @abstractmethod
    def forward(self, token_ids_T: Tensor, positions_T: Tensor, attention: ForeignStep) -> Tensor:
        ...

    @abstractmethod
    def logits(self, hidden_SE: Tensor) -> Tensor:
        ...
class ForeignModel(ABC):

    def checkpoint(self, stored: Checkpoint, spec: ModelSpec) -> Checkpoint:
        ...

    @abstractmethod
    def create(self, context: ForeignContext) -> ForeignDecoder:
        ...
