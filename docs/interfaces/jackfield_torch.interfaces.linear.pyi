# Part of: jackfield_torch.adapters.v1, jackfield_torch.quantization.v1
from abc import ABC
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol
import torch
from torch import Tensor
from jackfield.config import EngineConfig
from jackfield.model_spec import Transform
from jackfield_torch.interfaces.kernels import NarrowProduct
from jackfield_torch.interfaces.quantization import LinearPart
class LinearShard(Protocol):
    rank: int
    num_ranks: int
    device: torch.device
    dtype: torch.dtype
    config: EngineConfig

    def read(self, part: LinearPart, parameter: str) -> Tensor:
        ...

    def read_stored(self, part: LinearPart, parameter: str) -> Tensor:
        ...

    def transforms(self, part: LinearPart) -> tuple[Transform, ...]:
        ...

    def has(self, part: LinearPart, parameter: str) -> bool:
        ...

    def cut(self, whole: Tensor, axis: int, copies: int=1) -> Tensor:
        ...
@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    norm_weight_I: Tensor | None = None
    norm_epsilon: float = 0.0
    activation: str = ''
class Linear(ABC):

    @abstractmethod
    def __call__(self, x_TI: Tensor) -> Tensor:
        ...

    def narrow(self, around: Around) -> NarrowProduct | None:
        ...
@dataclass(frozen=True, slots=True)
class ExpertRows:
    expert_S: Tensor
    ends_X1: Tensor | None
@dataclass(frozen=True, slots=True)
class PlainExperts:
    weight_XOI: Tensor
    bias_XO: Tensor | None
class ExpertLinear(ABC):

    @abstractmethod
    def __call__(self, x_SI: Tensor, rows: ExpertRows) -> Tensor:
        ...

    def plain(self) -> PlainExperts | None:
        ...
