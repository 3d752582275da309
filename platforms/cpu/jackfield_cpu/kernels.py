"""Index arithmetic of a step on the processor with NumPy, whose calls take a third of the time of torch's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jackfield_torch.interfaces.kernels import (
    FIRST_POSITION,
    NUM_COMPUTED,
    NUM_TOKENS,
    Kernels,
    RowTensors,
    StepTensors,
)

Words = NDArray[np.int32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The memory of the rows as NumPy arrays."""

    words_W: Words
    num_tokens_R: Words
    num_computed_R: Words
    first_position_R: Words
    token_ids: Words  # flat
    width: int
    block_ids: tuple[Words, ...]  # [R, B]


class CpuKernels(Kernels):
    """The operations of the base class, on the same memory."""

    def __init__(self) -> None:
        self._known: tuple[RowTensors, _Rows] | None = None

    def update_rows(self, rows: RowTensors, updates_U2: Tensor) -> None:
        updates = updates_U2.numpy()
        self._arrays(rows).words_W[updates[:, 0]] = updates[:, 1]

    def prepare_step(self, rows: RowTensors, step: StepTensors) -> None:
        known = self._arrays(rows)
        rows_R, counts_R = step.rows_R.numpy(), step.counts_R.numpy()
        starts_R, lengths_R = known.num_computed_R[rows_R], step.lengths_R.numpy()
        np.add(starts_R, counts_R, out=lengths_R)
        known.num_computed_R[rows_R] = np.minimum(lengths_R, known.num_tokens_R[rows_R])
        row_T, position_T = rows_R, starts_R
        positions_T = step.positions_T.numpy()
        if len(positions_T) > len(rows_R):
            row_T = np.repeat(rows_R, counts_R)
            shift_R = starts_R - step.query_starts_R1.numpy()[:-1]
            position_T = np.repeat(shift_R, counts_R) + np.arange(len(positions_T), dtype=np.int32)
        positions_T[:] = position_T
        known.token_ids.take(
            row_T * np.int64(known.width) + position_T, out=step.token_ids_T.numpy()
        )
        block_T, offset_T = np.divmod(position_T, np.int32(rows.block_size))
        for table, block_ids_RB, slots_T in zip(
            known.block_ids, step.block_ids, step.slots, strict=True
        ):
            found_RB = block_ids_RB.numpy()
            found_RB[:] = table[rows_R, : found_RB.shape[1]]
            slots = slots_T.numpy()
            np.multiply(table[row_T, block_T], np.int64(rows.block_size), out=slots)
            slots += offset_T
        if rows.has_first_positions:
            positions_T += known.first_position_R[row_T]

    def append_tokens(self, rows: RowTensors, rows_S: Tensor, token_ids_S: Tensor) -> None:
        known = self._arrays(rows)
        row_S = rows_S.numpy()
        num_tokens_S = known.num_tokens_R[row_S]
        known.token_ids[row_S * known.width + num_tokens_S] = token_ids_S.numpy().clip(min=0)
        known.num_tokens_R[row_S] = num_tokens_S + (row_S < rows.spare_row)

    def _arrays(self, rows: RowTensors) -> _Rows:
        if self._known is None or self._known[0] is not rows:
            records_RC = rows.records_RC.numpy()
            arrays = _Rows(
                words_W=rows.words_W.numpy(),
                num_tokens_R=records_RC[:, NUM_TOKENS],
                num_computed_R=records_RC[:, NUM_COMPUTED],
                first_position_R=records_RC[:, FIRST_POSITION],
                token_ids=rows.token_ids_RL.view(-1).numpy(),
                width=rows.token_ids_RL.shape[1],
                block_ids=tuple(table.numpy() for table in rows.block_ids),
            )
            self._known = rows, arrays
        return self._known[1]
