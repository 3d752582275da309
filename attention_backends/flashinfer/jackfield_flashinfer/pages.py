"""The block tables of a step in FlashInfer's form: the blocks of all rows, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jackfield_torch.interfaces.attention import AttentionBatch, AttentionLimits


@dataclass(slots=True, kw_only=True)
class Pages:
    """One step. The facts for planning are on the host, the blocks stay on the device. All are int32."""

    query_starts_R1: Tensor  # host
    starts_R1: Tensor  # host; where each row's blocks begin among all blocks
    last_lengths_R: Tensor  # host; number of tokens in each row's last block
    ids: Tensor  # device; the blocks of all rows

    @property
    def num_rows(self) -> int:
        """Rows of the step, including padding."""
        return len(self.last_lengths_R)


class PageLists:
    """Device memory for the blocks of a step. It is allocated once, because recorded steps read it in place."""

    def __init__(self, limits: AttentionLimits, block_size: int) -> None:
        self._block_size = block_size
        self._rows = limits.max_rows
        self._width = -(-limits.max_length // block_size)
        self._device = limits.device
        self._allocate()

    def fill(self, batch: AttentionBatch) -> Pages:
        """Lay out the blocks of a step. Waits for nothing: the places follow from the lengths on the host."""
        lengths_R = np.asarray(batch.lengths, np.int32)
        counts_R = -(-lengths_R // self._block_size)
        num_rows, width = batch.block_ids_RB.shape
        if num_rows > self._rows or width > self._width:  # padding may add rows
            self._rows, self._width = max(num_rows, self._rows), max(width, self._width)
            self._allocate()
        self._lay_out(batch, num_rows, width)
        starts_R1 = _sums(counts_R)
        return Pages(
            query_starts_R1=torch.from_numpy(_sums(np.asarray(batch.query_lengths, np.int32))),
            starts_R1=torch.from_numpy(starts_R1),
            last_lengths_R=torch.from_numpy(lengths_R - (counts_R - 1) * self._block_size),
            ids=self._ids[: int(starts_R1[-1])],
        )

    def _lay_out(self, batch: AttentionBatch, num_rows: int, width: int) -> None:
        counts_R = (batch.lengths_R + (self._block_size - 1)) // self._block_size
        ends_R = counts_R.cumsum(0)
        column_B = self._columns[:width]
        place_RB = (ends_R - counts_R).unsqueeze(1) + column_B
        # Entries that are no block of a row go to the place behind all others.
        place_RB.masked_fill_(column_B >= counts_R.unsqueeze(1), len(self._ids) - 1)
        self._ids.scatter_(0, place_RB.flatten(), batch.block_ids_RB.flatten())

    def _allocate(self) -> None:
        size = self._rows * self._width + 1
        self._ids = torch.zeros(size, dtype=torch.int32, device=self._device)
        self._columns = torch.arange(self._width, device=self._device)

    def buffer(self) -> Tensor:
        """All places, for wrappers of recorded steps."""
        return self._ids


def _sums(
    counts: np.ndarray[tuple[int], np.dtype[np.int32]],
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    found = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=found[1:])
    return found
