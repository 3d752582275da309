# Part of: jackfield.platforms.v1, jackfield.weight_formats.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from typing import Self
from jackfield.dtypes import DType
from jackfield.interfaces.card import Card
from jackfield.interfaces.model_source import ModelFiles
@dataclass(frozen=True, slots=True)
class TensorInfo:
    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
class Checkpoint(ABC):

    @property
    def is_synthetic(self) -> bool:
        ...

    @property
    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        ...

    @property
    def generation(self) -> Mapping[str, Any]:
        ...

    @property
    @abstractmethod
    def tensors(self) -> Mapping[str, TensorInfo]:
        ...

    @property
    def packed(self) -> Mapping[str, TensorInfo]:
        ...

    @abstractmethod
    def read(self, name: str) -> memoryview:
        ...

    @abstractmethod
    def close(self) -> None:
        ...

    def __enter__(self) -> Self:
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...
class WeightFormat(Card):

    @abstractmethod
    def open(self, files: ModelFiles) -> Checkpoint:
        ...
