"""The processor `no_repeat_ngram`: no run of `size` tokens occurs twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jackfield_torch.interfaces.logits_processor import ProcessorLimits, TorchLogitsProcessor

if TYPE_CHECKING:
    from jackfield_torch.interfaces.row_processor import RowProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramArguments:
    """The arguments of a request."""

    size: int  # tokens of an n-gram
    window: int = 0  # only n-grams in this many last tokens count; 0: all
    allowed: tuple[int, ...] = ()  # token ids that are always allowed

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise ValueError(f"size must be a whole number of at least 1, got {self.size!r}")
        if type(self.window) is not int or self.window < 0:
            raise ValueError(f"window must be a whole number of at least 0, got {self.window!r}")
        if not all(type(token_id) is int and token_id >= 0 for token_id in self.allowed):
            raise ValueError(f"allowed must hold token ids, got {self.allowed!r}")


class NoRepeatNgram(TorchLogitsProcessor):
    """The card."""

    arguments: ClassVar[type] = NgramArguments

    def create(self, limits: ProcessorLimits) -> RowProcessor:
        """Make the processor for this device."""
        from jackfield_logits_processors.ngrams import NgramProcessor

        return NgramProcessor(limits)
