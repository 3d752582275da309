"""The logits processors of a worker. A processor is made when a row first names it, and runs for rows that name it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import NewRow
from jackfield_torch.interfaces.logits_processor import ProcessorLimits, TorchLogitsProcessor
from jackfield_torch.interfaces.row_processor import ProcessedRows, RowProcessor
from jackfield_torch.staging import upload

Load = Callable[[str], TorchLogitsProcessor]  # returns the card with the name that requests use


class _Used:
    """A processor with the rows that named it."""

    def __init__(self, card: TorchLogitsProcessor, limits: ProcessorLimits) -> None:
        self.card = card
        self.processor: RowProcessor = card.create(limits)
        self.names_R = np.zeros(limits.max_rows, bool)
        # The last call: key of the rows of the step, indices of this processor's rows among them, and both on the
        # device.
        self.last: tuple[bytes, tuple[int, ...], Tensor, Tensor] | None = None


class RowProcessors:
    """All processors that rows have named, in the order in which they were first named."""

    def __init__(self, load: Load, limits: ProcessorLimits, device: torch.device) -> None:
        self._load, self._limits, self._device = load, limits, device
        self._used: dict[str, _Used] = {}

    def enter(self, new: NewRow) -> None:
        """Start a request in its row."""
        for name, values in new.sampling.logits_processors.items():
            used = self._used.get(name)
            if used is None:
                used = self._used[name] = _Used(self._load(name), self._limits)
            used.names_R[new.row] = True
            used.last = None
            arguments = used.card.read(name, values)
            used.processor.enter(new.row, arguments, new.token_ids, new.num_prompt_tokens)

    def leave(self, row: int) -> None:
        """Forget a row."""
        for used in self._used.values():
            if used.names_R[row]:
                used.names_R[row], used.last = False, None
                used.processor.leave(row)

    def are_named(self, rows: NDArray[np.int64]) -> bool:
        """True if some of these rows has named a processor."""
        return any(used.names_R[rows].any() for used in self._used.values())

    def apply(
        self,
        logits_PV: Tensor,
        rows: NDArray[np.int64],
        token_ids_RL: Tensor,
        num_tokens_P: Tensor,
        num_prompt_P: Tensor,
        longest: int,
    ) -> None:
        """Change logits in place. `rows` belong to the first rows of logits; the other rows of logits are padding."""
        key = rows.tobytes()
        for used in self._used.values():
            if used.last is None or used.last[0] != key:
                places = np.flatnonzero(used.names_R[rows])
                named = tuple(rows[places].tolist())
                used.last = key, named, *self._upload(places, rows[places])
            _, named, places_M, rows_M = used.last
            if not named:
                continue
            logits_MV = logits_PV.index_select(0, places_M)
            used.processor.apply(
                logits_MV,
                ProcessedRows(
                    rows=named,
                    rows_M=rows_M,
                    token_ids_RL=token_ids_RL,
                    num_tokens_M=num_tokens_P.index_select(0, places_M),
                    num_prompt_M=num_prompt_P.index_select(0, places_M),
                    longest=longest,
                ),
            )
            logits_PV.index_copy_(0, places_M, logits_MV)

    def _upload(self, *arrays: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        first, second = (upload(array, self._device) for array in arrays)
        return first, second


def no_processors(device: torch.device) -> RowProcessors:
    """For a sampler without processors."""

    def load(name: str) -> TorchLogitsProcessor:
        raise AssertionError(f"nobody checked that there is a logits processor {name}")

    limits = ProcessorLimits(vocab_size=0, max_rows=0, max_length=0, device=device.type)
    return RowProcessors(load, limits, device)
