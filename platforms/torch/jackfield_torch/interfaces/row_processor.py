"""What changes the logits of rows that asked for it, on the device and without waiting for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedRows:
    """M rows of logits whose requests named this processor, each with the tokens before it.

    A row of the worker may stand here several times, where it has a draft: each time with one guess more.
    """

    rows: tuple[
        int, ...
    ]  # of the worker; the same object in step after step while they stay the same
    rows_M: Tensor  # int64, the same on the device
    token_ids_RL: Tensor  # int32, tokens of all rows of the worker: prompt, then output
    num_tokens_M: Tensor  # int64, of these that stand before the token to be drawn
    num_prompt_M: Tensor  # int64, of these the prompt
    longest: int  # no num_tokens_M is larger; known on the host

    def tokens(self) -> Tensor:
        """Prompt and output of each row, int32 [M, longest]; behind num_tokens_M there is anything."""
        return self.token_ids_RL[:, : self.longest].index_select(0, self.rows_M)


class RowProcessor(ABC):
    """One for a processor and rank. The methods are called by the thread that steps, and must not wait for the device."""

    def enter(
        self, row: int, arguments: Any, token_ids: Sequence[int], num_prompt_tokens: int
    ) -> None:
        """A request begins in `row`, or goes on there after a preemption; `arguments` are checked."""

    def leave(self, row: int) -> None:
        """The request in `row` has ended or was preempted."""

    @abstractmethod
    def apply(self, logits_MV: Tensor, rows: ProcessedRows) -> None:
        """Change the logits (float32) in place, before penalties and filters.

        What is set to minus infinity is never drawn. Equal arguments and tokens give equal changes, whatever runs beside
        them.
        """
