"""Changes the logits of rows whose requests asked for it, on the device and without waiting for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedRows:
    """M rows of logits whose requests named this processor, each with the tokens before it.

    A row of the worker that has a draft stands here several times, each time with one more guess.
    """

    # Numbers of the worker's rows; the same object in step after step while they stay the same.
    rows: tuple[int, ...]
    rows_M: Tensor  # int64, the same numbers on the device
    token_ids_RL: Tensor  # int32, tokens of all rows of the worker: prompt, then output
    num_tokens_M: Tensor  # int64; how many tokens stand before the token to be drawn
    num_prompt_M: Tensor  # int64; how many of them are the prompt
    longest: int  # on the host; no num_tokens_M is larger

    def tokens(self) -> Tensor:
        """Prompt and output of each row, int32 [M, longest]. After num_tokens_M the values are arbitrary."""
        return self.token_ids_RL[:, : self.longest].index_select(0, self.rows_M)


class RowProcessor(ABC):
    """One processor on one rank. The stepping thread calls the methods; they must not wait for the device."""

    def enter(
        self, row: int, arguments: Any, token_ids: Sequence[int], num_prompt_tokens: int
    ) -> None:
        """A request begins in `row`, or continues there after a preemption. `arguments` are checked."""

    def leave(self, row: int) -> None:
        """The request in `row` has ended or was preempted."""

    @abstractmethod
    def apply(self, logits_MV: Tensor, rows: ProcessedRows) -> None:
        """Change the logits (float32) in place, before penalties and filters.

        A logit of minus infinity is never drawn. Equal arguments and tokens must give equal changes, whatever other
        rows run.
        """
