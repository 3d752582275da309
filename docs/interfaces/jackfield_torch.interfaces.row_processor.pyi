# Part of: jackfield_torch.logits_processors.v1
from abc import ABC
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from torch import Tensor
@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedRows:
    rows: tuple[int, ...]
    rows_M: Tensor
    token_ids_RL: Tensor
    num_tokens_M: Tensor
    num_prompt_M: Tensor
    longest: int

    def tokens(self) -> Tensor:
        ...
class RowProcessor(ABC):

    def enter(self, row: int, arguments: Any, token_ids: Sequence[int], num_prompt_tokens: int) -> None:
        ...

    def leave(self, row: int) -> None:
        ...

    @abstractmethod
    def apply(self, logits_MV: Tensor, rows: ProcessedRows) -> None:
        ...
