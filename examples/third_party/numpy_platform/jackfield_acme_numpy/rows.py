"""The rows of the worker: token ids, block tables and progress of each request, kept from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jackfield.step import NewRow, StepPlan

from jackfield_acme_numpy.arrays import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The tokens of one step, row after row."""

    rows_R: Ints
    counts_R: Ints  # tokens of each row
    firsts_R: Ints  # index of the first token of each row among the T tokens
    starts_R: Ints  # position of the first token of each row
    row_T: Ints
    positions_T: Ints
    token_ids_T: Ints
    places_S: Ints  # indices among R of the rows that sample
    last_S: Ints  # indices among T of the last token of each sampling row


class Rows:
    """State by row. Entries of a row that no request uses are arbitrary."""

    def __init__(self, max_rows: int, max_length: int, block_size: int, num_groups: int) -> None:
        width = max_length + 1  # the token drawn at the last position has a place, too
        self.block_size = block_size
        self.requests: dict[int, NewRow] = {}
        self.token_ids_RL = np.zeros((max_rows, width), np.int64)
        self.num_tokens_R = np.zeros(max_rows, np.int64)
        self._num_computed_R = np.zeros(max_rows, np.int64)
        num_blocks = -(-width // block_size)
        self.tables = [np.zeros((max_rows, num_blocks), np.int64) for _ in range(num_groups)]
        self._num_blocks = np.zeros((num_groups, max_rows), np.int64)

    def enter(self, new: NewRow) -> None:
        """Fill a row."""
        row, length = new.row, len(new.token_ids)
        self.requests[row] = new
        self.token_ids_RL[row, :length] = new.token_ids
        self.num_tokens_R[row] = length
        self._num_computed_R[row] = new.num_computed
        self._num_blocks[:, row] = 0
        for group, block_ids in enumerate(new.block_ids):
            self._append(row, group, block_ids)

    def change_tables(self, plan: StepPlan) -> None:
        """Apply the diffs of a plan to the block tables."""
        for change in plan.replaced_blocks:
            self.tables[change.group][change.row, change.index] = change.block_id
        for more in plan.new_blocks:
            self._append(more.row, more.group, more.block_ids)

    def batch(self, plan: StepPlan) -> Batch:
        """The tokens that a plan computes. From this call on they count as computed."""
        rows_R = np.asarray(plan.rows, np.int64)
        counts_R = np.asarray(plan.num_tokens, np.int64)
        starts_R = self._num_computed_R[rows_R]
        self._num_computed_R[rows_R] += counts_R
        ends_R = np.cumsum(counts_R)
        firsts_R = ends_R - counts_R
        places_S = np.flatnonzero(plan.samples)
        row_T = np.repeat(rows_R, counts_R)
        positions_T = np.arange(len(row_T)) + np.repeat(starts_R - firsts_R, counts_R)
        return Batch(
            rows_R=rows_R,
            counts_R=counts_R,
            firsts_R=firsts_R,
            starts_R=starts_R,
            row_T=row_T,
            positions_T=positions_T,
            token_ids_T=self.token_ids_RL[row_T, positions_T],
            places_S=places_S,
            last_S=ends_R[places_S] - 1,
        )

    def slots(self, group: int, rows: Ints, positions: Ints) -> Ints:
        """The slots of positions of rows in the cache of a group."""
        blocks, offsets = np.divmod(positions, self.block_size)
        slots: Ints = self.tables[group][rows, blocks] * self.block_size + offsets
        return slots

    def append_tokens(self, rows_S: Ints, token_ids_S: Ints) -> None:
        """Append one drawn token to each of these rows."""
        self.token_ids_RL[rows_S, self.num_tokens_R[rows_S]] = token_ids_S
        self.num_tokens_R[rows_S] += 1

    def history(self, row: int) -> tuple[Ints, Ints]:
        """The prompt of a row and its output."""
        token_ids_L = self.token_ids_RL[row, : self.num_tokens_R[row]]
        num_prompt = self.requests[row].num_prompt_tokens
        return token_ids_L[:num_prompt], token_ids_L[num_prompt:]

    def _append(self, row: int, group: int, block_ids: Sequence[int]) -> None:
        start = self._num_blocks[group, row]
        self.tables[group][row, start : start + len(block_ids)] = block_ids
        self._num_blocks[group, row] += len(block_ids)
