# Part of: jackfield.tool_parsers.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import ClassVar
from jackfield.interfaces.card import Card
@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    index: int
    name: str | None = None
    arguments: str = ''
@dataclass(frozen=True, slots=True)
class ToolDelta:
    content: str = ''
    calls: tuple[ToolCallDelta, ...] = ()
class ToolStream(ABC):

    @abstractmethod
    def push(self, text: str) -> ToolDelta:
        ...

    @abstractmethod
    def finish(self) -> ToolDelta:
        ...
class ToolParser(Card):
    keeps_special_tokens: ClassVar[bool] = False

    @abstractmethod
    def open(self, tools: Sequence[Mapping[str, Any]]) -> ToolStream:
        ...
