# Part of: jackfield.reasoning_parsers.v1, jackfield.tool_parsers.v1
from abc import ABC
from abc import abstractmethod
from dataclasses import dataclass
from jackfield.interfaces.card import Card
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFormat:
    architecture: str = ''
    template: str = ''
@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    reasoning: str = ''
    content: str = ''
class ReasoningStream(ABC):

    @abstractmethod
    def push(self, text: str) -> ReasoningDelta:
        ...

    @abstractmethod
    def finish(self) -> ReasoningDelta:
        ...
class ReasoningParser(Card):

    @abstractmethod
    def open(self, prompt: str) -> ReasoningStream:
        ...
