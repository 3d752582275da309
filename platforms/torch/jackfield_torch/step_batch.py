"""From a plan and the rows to what the decoder and the attention backends take: index arithmetic, once a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jackfield.step import StepPlan
from jackfield_torch.interfaces.attention import AttentionBatch
from jackfield_torch.rows import Ints, Rows
from jackfield_torch.staging import Staging


@dataclass(slots=True, kw_only=True)
class StepBatch:
    """One step of R rows and T tokens, S of the rows sampling."""

    token_ids_T: Tensor
    positions_T: Tensor  # int64, in the tables of ropes and positions
    batches: list[AttentionBatch]  # of each cache group
    rows_S: Ints  # host
    places_S: Sequence[int]  # of the sampling rows in the plan's rows
    last_S: Tensor | None  # int64, the sampling rows' last tokens; None: all T tokens in order
    next_S: Tensor  # int64, where drawn tokens go in the flat token ids
    starts_R: Ints  # host; tokens of each row computed before this step


class BatchBuilder:
    """Builds the batch of one step after the other."""

    def __init__(self, rows: Rows, staging: Staging) -> None:
        self._rows = rows
        self._staging = staging

    def build(self, plan: StepPlan) -> StepBatch:
        """The batch of a plan whose diffs were applied; advances the rows' computed tokens."""
        rows = self._rows
        rows_R = np.asarray(plan.rows, np.int64)
        counts_R = np.asarray(plan.num_tokens, np.int64)
        samples_R = np.asarray(plan.samples, bool)
        starts_R = rows.num_computed_R[rows_R]
        lengths_R = starts_R + counts_R
        assert (lengths_R <= rows.num_tokens_R[rows_R]).all(), "a row computes more than it has"
        rows.num_computed_R[rows_R] = lengths_R

        query_starts_R1 = np.zeros(len(rows_R) + 1, np.int32)
        np.cumsum(counts_R, out=query_starts_R1[1:])
        row_T, positions_T = _tokens(rows_R, counts_R, starts_R, query_starts_R1)
        rows_S = rows_R[samples_R]
        last_S = (query_starts_R1[1:] - 1)[samples_R].astype(np.int64)
        slots, tables = self._places(rows_R, row_T, positions_T, int(lengths_R.max()))

        uploaded = self._staging.upload(
            [
                row_T * rows.width + positions_T,
                _in_tables(rows, row_T, positions_T),
                query_starts_R1,
                lengths_R.astype(np.int32),
                last_S,
                rows.next_index(rows_S),
                *slots,
                *tables,
            ]
        )
        index_T, positions, query_starts, lengths, last, next_S, *places = uploaded
        lists = counts_R.tolist(), lengths_R.tolist()
        return StepBatch(
            token_ids_T=rows.token_ids_RL.view(-1).index_select(0, index_T),
            positions_T=positions,
            batches=[
                AttentionBatch(
                    query_lengths=lists[0],
                    lengths=lists[1],
                    query_starts_R1=query_starts,
                    lengths_R=lengths,
                    block_ids_RB=table,
                    slots_T=slot,
                )
                for slot, table in zip(places[: len(slots)], places[len(slots) :], strict=True)
            ],
            rows_S=rows_S,
            places_S=np.flatnonzero(samples_R).tolist(),
            last_S=None if len(last_S) == len(row_T) else last,
            next_S=next_S,
            starts_R=starts_R,
        )

    def _places(
        self, rows_R: Ints, row_T: Ints, positions_T: Ints, max_length: int
    ) -> tuple[list[Ints], list[NDArray[np.int32]]]:
        """Slots of the tokens and block tables of the rows, for each cache group."""
        size = self._rows.block_size
        block_T, offset_T = np.divmod(positions_T, size)
        num_blocks = -(-max_length // size)
        slots = [
            table[row_T, block_T] * np.int64(size) + offset_T for table in self._rows.block_ids
        ]
        return slots, [table[rows_R, :num_blocks] for table in self._rows.block_ids]


def _in_tables(rows: Rows, row_T: Ints, positions_T: Ints) -> Ints:
    """Where the positions stand in the rope's tables."""
    first_R = rows.first_position_R
    return positions_T if first_R is None else positions_T + first_R[row_T]


def _tokens(
    rows_R: Ints, counts_R: Ints, starts_R: Ints, query_starts_R1: NDArray[np.int32]
) -> tuple[Ints, Ints]:
    """The row and the position of each token of the step."""
    num_tokens = int(query_starts_R1[-1])
    if num_tokens == len(rows_R):
        return rows_R, starts_R
    row_T = np.repeat(rows_R, counts_R)
    shift_T = np.repeat(starts_R - query_starts_R1[:-1], counts_R)
    return row_T, shift_T + np.arange(num_tokens)
