"""Forces the end of thoughts, token by token, when their budget is spent; for many rows at once, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jackfield_logits_processors.thinking_budget import BudgetArguments
from jackfield_torch.interfaces.logits_processor import ProcessorLimits
from jackfield_torch.interfaces.row_processor import ProcessedRows, RowProcessor


class BudgetProcessor(RowProcessor):
    """Keeps tables of rows on the device. They change only when the rows change."""

    def __init__(self, limits: ProcessorLimits) -> None:
        self._device = torch.device(limits.device)
        self._asked: dict[int, BudgetArguments] = {}
        self._last: tuple[tuple[int, ...], Tensor, Tensor, Tensor] | None = None

    def enter(
        self, row: int, arguments: BudgetArguments, token_ids: Sequence[int], num_prompt_tokens: int
    ) -> None:
        """Keep the arguments of the row."""
        self._asked[row] = arguments
        self._last = None

    def leave(self, row: int) -> None:
        """Forget the row."""
        del self._asked[row]
        self._last = None

    def apply(self, logits_MV: Tensor, rows: ProcessedRows) -> None:
        """If the budget is spent and the end has not come, allow only the next token of the end."""
        budget_M, length_M, end_ME = self._tables(rows.rows)
        # Tokens since the budget was spent.
        spent_M = rows.num_tokens_M - rows.num_prompt_M - budget_M
        is_due_M = (spent_M >= 0) & (spent_M < length_M)
        is_due_M &= ~_has_ended(rows, budget_M, length_M, end_ME)
        place_M1 = spent_M.clamp(0, end_ME.shape[1] - 1).unsqueeze(1)
        forced_M1 = end_ME.gather(1, place_M1).clamp_(0, logits_MV.shape[1] - 1)
        wanted_M1 = logits_MV.gather(1, forced_M1)
        finite_M1 = torch.where(wanted_M1.isfinite(), wanted_M1, 0.0)
        only_MV = torch.full_like(logits_MV, float("-inf")).scatter_(1, forced_M1, finite_M1)
        torch.where(is_due_M.unsqueeze(1), only_MV, logits_MV, out=logits_MV)

    def _tables(self, rows: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Budgets, lengths of the ends, and the ends, padded with -1."""
        if self._last is None or self._last[0] != rows:
            asked = [self._asked[row] for row in rows]
            width = max(len(one.end) for one in asked)
            ends = [[*one.end, *[-1] * (width - len(one.end))] for one in asked]
            self._last = (
                rows,
                self._ids([one.max_tokens for one in asked]),
                self._ids([len(one.end) for one in asked]),
                self._ids(ends),
            )
        return self._last[1:]

    def _ids(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _has_ended(rows: ProcessedRows, budget_M: Tensor, length_M: Tensor, end_ME: Tensor) -> Tensor:
    """True if the complete end is among the first `budget_M` tokens of the output."""
    tokens_ML = rows.tokens()
    first_M1, budget_M1 = rows.num_prompt_M.unsqueeze(1), budget_M.unsqueeze(1)
    start_L = torch.arange(tokens_ML.shape[1], device=tokens_ML.device)
    last_M1 = torch.minimum(first_M1 + budget_M1, rows.num_tokens_M.unsqueeze(1))
    is_end_ML = (start_L >= first_M1) & (start_L + length_M.unsqueeze(1) <= last_M1)
    for offset in range(end_ME.shape[1]):
        wanted_M1 = end_ME[:, offset : offset + 1]
        shifted_ML = tokens_ML.roll(-offset, 1)
        is_end_ML &= (shifted_ML == wanted_M1) | (wanted_M1 < 0)
    return is_end_ML.any(1)
