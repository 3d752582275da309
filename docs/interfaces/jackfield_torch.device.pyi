# Part of: jackfield_torch 0.1
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol
from typing import TypeVar
from jackfield.config import CacheSettings
from torch import Tensor
from jackfield_torch.interfaces.kernels import Kernels
T = TypeVar('T')
class Event(Protocol):

    def wait(self) -> None:
        ...
class Device(ABC):
    name: str
    collectives: str = 'gloo'
    row_sizes: tuple[int, ...] = ()
    token_sizes: tuple[int, ...] = ()

    def start(self) -> None:
        ...

    def kernels(self) -> Kernels:
        ...

    @abstractmethod
    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        ...

    def host_memory(self, num_bytes: int) -> Tensor:
        ...

    def copy(self, target: Tensor, source: Tensor) -> None:
        ...

    def record(self) -> Event | None:
        ...

    def compile_ahead(self, run: Callable[[], object]) -> None:
        ...

    def capture(self, function: Callable[[], T]) -> Callable[[], T] | None:
        ...

    def details(self) -> dict[str, str]:
        ...

    def started(self) -> str:
        ...

    def close(self) -> None:
        ...
