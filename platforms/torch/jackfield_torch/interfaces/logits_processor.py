"""Logits processors of the torch runtime: the card, which imports no torch, and what it makes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jackfield.interfaces.logits_processor import LogitsProcessor

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.row_processor import RowProcessor

KIND = "jackfield_torch.logits_processors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorLimits:
    """Upper bounds for a processor."""

    vocab_size: int  # logits of a row
    max_rows: int  # rows that exist at once
    max_length: int  # tokens of a row
    device: str  # name of the device in torch: "cpu", "cuda"


class TorchLogitsProcessor(LogitsProcessor):
    """The card. `arguments` is a frozen dataclass of the arguments that a request may give."""

    @abstractmethod
    def create(self, limits: ProcessorLimits) -> RowProcessor:
        """Make the object that changes logits on this rank. Heavy imports happen here. Called when a request first
        names it.
        """
