# Part of: jackfield.models.v1
from collections.abc import Mapping
from typing import Any
from typing import Protocol
from typing import TypeVar
from typing import overload
from jackfield.errors import UnsupportedModelError
from jackfield.model_spec import ModelSpec
T = TypeVar('T')
class ModelBuilder(Protocol):

    def __call__(self, config: ConfigReader) -> ModelSpec:
        ...
def takes_any(build: ModelBuilder) -> ModelBuilder:
    ...
def is_taking_any(build: object) -> bool:
    ...
class ConfigReader:

    def __init__(self, values: Mapping[str, Any]) -> None:
        ...

    @property
    def unread(self) -> tuple[str, ...]:
        ...

    @property
    def architecture(self) -> str:
        ...

    def require(self, key: str, kind: type[T]) -> T:
        ...

    @overload
    def get(self, key: str, kind: type[T], default: T) -> T:
        ...

    @overload
    def get(self, key: str, kind: type[T], default: None=None) -> T | None:
        ...

    def get(self, key: str, kind: type[T], default: T | None=None) -> T | None:
        ...

    def nullable(self, key: str, kind: type[T], default: T | None) -> T | None:
        ...

    def filled(self, **defaults: Any) -> ConfigReader:
        ...

    def refuse(self, key: str, value: Any, allowed: str) -> UnsupportedModelError:
        ...
