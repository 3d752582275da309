# Part of: jackfield.endpoints.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import AsyncGenerator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import MutableMapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import ClassVar
from jackfield.config import EngineConfig
from jackfield.interfaces.card import Card
Prompt = str | Sequence[int] | Sequence[Mapping[str, Any]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
AsgiApp = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    index: int
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None
    num_prompt_tokens: int
class Serving(ABC):

    @property
    @abstractmethod
    def models(self) -> tuple[str, ...]:
        ...

    @abstractmethod
    def generate(self, scope: Scope, prompt: Prompt, sampling: Mapping[str, Any] | None=None, *, model: str | None=None) -> AsyncGenerator[Piece, None]:
        ...
class Endpoint(Card):
    only_named: ClassVar[bool] = True
    path: ClassVar[str] = ''

    @abstractmethod
    def create(self, serving: Serving, config: EngineConfig) -> AsgiApp:
        ...
