# Part of: jackfield_torch.adapters.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol
from torch import Tensor
from jackfield.interfaces.adapters import AdapterFiles
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart
class Addition(Protocol):

    def __call__(self, x_TI: Tensor, y_TO: Tensor) -> None:
        ...
class RunningAdapters(ABC):
    is_active: bool = False

    @abstractmethod
    def addition(self, parts: Sequence[LinearPart], shard: LinearShard) -> Addition:
        ...

    @abstractmethod
    def load(self, adapter: AdapterFiles) -> None:
        ...

    @abstractmethod
    def unload(self, name: str) -> None:
        ...

    @abstractmethod
    def enter(self, row: int, name: str) -> None:
        ...

    @abstractmethod
    def begin(self, rows: Sequence[int], num_tokens: Sequence[int]) -> None:
        ...

    @abstractmethod
    def start_pass(self, rows_R: Tensor, query_starts_R1: Tensor, num_tokens: int) -> None:
        ...
