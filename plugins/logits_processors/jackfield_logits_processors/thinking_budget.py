"""The processor `thinking_budget`: the thoughts of an answer end after a number of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jackfield_torch.interfaces.logits_processor import ProcessorLimits, TorchLogitsProcessor

if TYPE_CHECKING:
    from jackfield_torch.interfaces.row_processor import RowProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetArguments:
    """The arguments of a request."""

    max_tokens: int  # most tokens of the thoughts, with which the answer begins
    end: tuple[int, ...]  # token ids that end the thoughts

    def __post_init__(self) -> None:
        if type(self.max_tokens) is not int or self.max_tokens < 0:
            raise ValueError(f"max_tokens must be a whole number, got {self.max_tokens!r}")
        if not self.end or not all(type(token) is int and token >= 0 for token in self.end):
            raise ValueError(f"end must hold token ids, at least one, got {self.end!r}")


class ThinkingBudget(TorchLogitsProcessor):
    """The card."""

    arguments: ClassVar[type] = BudgetArguments

    def create(self, limits: ProcessorLimits) -> RowProcessor:
        """Make the processor for this device."""
        from jackfield_logits_processors.budgets import BudgetProcessor

        return BudgetProcessor(limits)
