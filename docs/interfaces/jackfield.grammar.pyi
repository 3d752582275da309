# Part of: jackfield.hooks.v1, jackfield.structured_output.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
class GrammarState(ABC):

    @property
    @abstractmethod
    def is_finished(self) -> bool:
        ...

    @abstractmethod
    def accept(self, token_id: int) -> bool:
        ...

    @abstractmethod
    def rollback(self, num_tokens: int) -> None:
        ...

    @abstractmethod
    def fill(self, mask: memoryview) -> None:
        ...

    def forced(self) -> Sequence[int]:
        ...
class Grammar(ABC):

    @abstractmethod
    def start(self) -> GrammarState:
        ...
