# Part of: jackfield_torch 0.1
from abc import ABC
from abc import abstractmethod
from jackfield.config import CacheSettings
class Device(ABC):
    name: str
    collectives: str = 'gloo'

    def start(self) -> None:
        ...

    @abstractmethod
    def cache_bytes(self, settings: CacheSettings, useful_bytes: int) -> int:
        ...

    def details(self) -> dict[str, str]:
        ...

    def close(self) -> None:
        ...
