"""The rows of a worker: token ids, block tables and progress of each request, kept from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import NewRow, StepPlan

Ints = NDArray[np.int64]


class Rows:
    """Token ids live on the device, where drawn ones are appended; all else is on the host.

    R rows, L tokens a row, B blocks a row. Entries of a row that is not in use are arbitrary.
    """

    def __init__(
        self,
        *,
        max_rows: int,
        max_length: int,
        block_size: int,
        num_groups: int,
        device: torch.device,
        unscaled_length: int | None = None,  # as `ModelSpec.unscaled_length`
    ) -> None:
        self.block_size = block_size
        self.width = max_length + 1  # the token drawn at the last position has a place, too
        # Not filled: rows of long models are large, and most of their pages are never touched.
        self.token_ids_RL = torch.empty(max_rows, self.width, dtype=torch.int32, device=device)
        self.num_tokens_R = np.zeros(max_rows, np.int64)
        self.num_prompt_R = np.zeros(max_rows, np.int64)
        self.num_computed_R = np.zeros(max_rows, np.int64)
        # Where the positions of a row begin in the rope's tables; None: all at 0.
        self.first_position_R = None if unscaled_length is None else np.zeros(max_rows, np.int64)
        self._unscaled_length = unscaled_length or 0
        max_blocks = -(-self.width // block_size)
        self.block_ids = tuple(
            np.zeros((max_rows, max_blocks), np.int32) for _ in range(num_groups)
        )
        self._num_blocks = tuple(np.zeros(max_rows, np.int64) for _ in range(num_groups))

    def enter(self, new: NewRow) -> Tensor:
        """Fill a row; returns its token ids on the device."""
        row, length = new.row, len(new.token_ids)
        assert 0 <= new.num_computed < length < self.width + 1, "a row must have a token to compute"
        tokens = self.token_ids_RL[row, :length]
        tokens.copy_(torch.from_numpy(np.asarray(new.token_ids, np.int32)))
        self.num_tokens_R[row] = length
        self.num_prompt_R[row] = new.num_prompt_tokens
        self.num_computed_R[row] = new.num_computed
        if self.first_position_R is not None:
            fits = new.sampling.computes_within(new.num_prompt_tokens, self._unscaled_length)
            self.first_position_R[row] = self.width - 1 if fits else 0
        for group, block_ids in enumerate(new.block_ids):
            self._num_blocks[group][row] = 0
            self._append(row, group, block_ids)
        return tokens

    def change_tables(self, plan: StepPlan) -> None:
        """Apply the diffs of a plan to the block tables."""
        for change in plan.replaced_blocks:
            self.block_ids[change.group][change.row, change.index] = change.block_id
        for more in plan.new_blocks:
            self._append(more.row, more.group, more.block_ids)

    def append_tokens(self, rows_S: Ints, index_S: Tensor, token_ids_S: Tensor) -> None:
        """Append one drawn token to each of these rows; `index_S` as `next_index` gave it."""
        self.token_ids_RL.view(-1).index_copy_(0, index_S, token_ids_S.to(torch.int32))
        self.num_tokens_R[rows_S] += 1

    def next_index(self, rows_S: Ints) -> Ints:
        """Where the next token of each row goes, in the flat token ids."""
        flat: Ints = rows_S * self.width + self.num_tokens_R[rows_S]
        return flat

    def _append(self, row: int, group: int, block_ids: Sequence[int]) -> None:
        start = int(self._num_blocks[group][row])
        stop = start + len(block_ids)
        self.block_ids[group][row, start:stop] = block_ids
        self._num_blocks[group][row] = stop
