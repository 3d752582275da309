"""The running side of adapters: what they add to linears, and which row of a step has which adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from jackfield.interfaces.adapters import AdapterFiles
from jackfield_torch.interfaces.linear import LinearShard
from jackfield_torch.interfaces.quantization import LinearPart


class Addition(Protocol):
    """Adds to the outputs of a linear what the adapter of each token adds."""

    def __call__(self, x_TI: Tensor, y_TO: Tensor) -> None:
        """Change y_TO in place, for the T tokens of the step at hand; I inputs and O outputs of this rank."""


class RunningAdapters(ABC):
    """The adapters of one rank. Called on the stepping thread, `addition` alone on any; nothing waits for the device."""

    # True if a row of the step at hand has an adapter. Otherwise no addition is called.
    is_active: bool = False

    @abstractmethod
    def addition(self, parts: Sequence[LinearPart], shard: LinearShard) -> Addition:
        """The addition for a linear of these parts, whose outputs stand side by side.

        A row-parallel linear gives partial sums: its addition gives this rank's part of the sum.
        """

    @abstractmethod
    def load(self, adapter: AdapterFiles) -> None:
        """Read the weights of an adapter that the card has checked. Called after all additions were made."""

    @abstractmethod
    def unload(self, name: str) -> None:
        """Forget an adapter. No row has it."""

    @abstractmethod
    def enter(self, row: int, name: str) -> None:
        """A request begins in a row of the worker; its adapter has this name, "" for none."""

    @abstractmethod
    def begin(self, rows: Sequence[int], num_tokens: Sequence[int]) -> None:
        """A step begins: its rows, and the tokens of each. Sets `is_active`. Outside of any graph."""

    @abstractmethod
    def start_pass(self, rows_R: Tensor, query_starts_R1: Tensor, num_tokens: int) -> None:
        """A forward pass begins, which a graph may record. Called only if `is_active`.

        `rows_R` are the worker's rows, padding included, and the tokens of row i are query_starts_R1[i] to [i + 1]. Both
        keep their addresses. The spare row behind the last row of the worker has no adapter.
        """
