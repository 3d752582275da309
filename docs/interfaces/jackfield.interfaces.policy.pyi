# Part of: jackfield.schedulers.v1
from abc import abstractmethod
from typing import Protocol
from jackfield.interfaces.card import Card
class QueuedRequest(Protocol):

    @property
    def request_id(self) -> str:
        ...

    @property
    def priority(self) -> int:
        ...

    @property
    def arrival(self) -> int:
        ...

    @property
    def num_prompt_tokens(self) -> int:
        ...

    @property
    def num_output_tokens(self) -> int:
        ...

    @property
    def salt(self) -> str:
        ...

    @property
    def turn(self) -> float:
        ...
class SchedulingPolicy(Card):

    @abstractmethod
    def admission_key(self, request: QueuedRequest) -> tuple[float, ...]:
        ...

    def preemption_key(self, request: QueuedRequest) -> tuple[float, ...]:
        ...
