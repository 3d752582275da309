"""Adapters of the torch runtime: the card, which imports no torch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jackfield.config import EngineConfig
from jackfield.interfaces.adapters import AdapterFormat
from jackfield.model_spec import ModelSpec

if TYPE_CHECKING:  # the card must be readable without torch
    from jackfield_torch.interfaces.running_adapters import RunningAdapters

KIND = "jackfield_torch.adapters"
SETTING = "adapters"  # select.adapters


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What the adapters of one rank are made for."""

    spec: ModelSpec
    config: EngineConfig  # its `adapters` are loaded after the model
    device: str  # name of the device in torch: "cpu", "cuda"
    dtype: str  # name of the activations' dtype
    max_rows: int  # rows that exist at once, without the spare row


class TorchAdapterFormat(AdapterFormat):
    """The card."""

    @abstractmethod
    def create(self, context: AdapterContext) -> RunningAdapters:
        """Make the adapters of this rank, none of them loaded. Heavy imports happen here."""
