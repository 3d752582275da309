"""The rows of a worker: token ids, block tables, progress and sampling parameters, kept on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from jackfield.step import NewRow, StepPlan
from jackfield_torch.inbox import Inbox
from jackfield_torch.interfaces.kernels import (
    FIRST_POSITION,
    FREQUENCY,
    INVERSE_TEMPERATURE,
    MIN_P,
    NUM_COLUMNS,
    NUM_COMPUTED,
    NUM_PROMPT,
    NUM_TOKENS,
    PRESENCE,
    REPETITION,
    SEED,
    TOP_K,
    TOP_P,
    RowTensors,
)

Ints = NDArray[np.int64]
_LARGEST = float(np.finfo(np.float32).max)


class Rows:
    """The host's knowledge of the rows on the device, and the changes that the host makes to them.

    R rows, L tokens a row, B blocks a row. Entries of unused rows are arbitrary. `num_tokens_R` and `num_computed_R`
    equal the device's numbers or exceed them: a draft counts as confirmed until its step is resolved.
    """

    def __init__(
        self,
        *,
        max_rows: int,
        max_length: int,
        block_size: int,
        num_groups: int,  # cache groups
        vocab_size: int,
        device: torch.device,
        unscaled_length: int | None = None,  # see `ModelSpec.unscaled_length`
    ) -> None:
        self.block_size = block_size
        self.width = max_length + 1  # includes a place for the token drawn at the last position
        self.max_blocks = -(-self.width // block_size)
        self._vocab_size = vocab_size
        self._unscaled_length = unscaled_length
        self.tensors = _make_tensors(
            max_rows + 1,
            self.width,
            self.max_blocks,
            num_groups,
            block_size,
            device,
            has_first_positions=unscaled_length is not None,
        )
        self._starts = [
            int(view.storage_offset())
            for view in (self.tensors.token_ids_RL, *self.tensors.block_ids)
        ]
        self.num_tokens_R = np.zeros(max_rows + 1, np.int64)
        self.num_prompt_R = np.zeros(max_rows + 1, np.int64)
        self.num_computed_R = np.zeros(max_rows + 1, np.int64)
        self.request_R = np.zeros(max_rows + 1, np.int64)  # a number that is new for each request
        self._num_entered = 0
        self._num_blocks = np.zeros((num_groups, max_rows), np.int64)
        self._record = np.zeros(NUM_COLUMNS, np.int32)

    @property
    def spare_row(self) -> int:
        """Index of the row that pads steps."""
        return self.tensors.spare_row

    def set_spare_blocks(self, spare_blocks: Sequence[int]) -> None:
        """Set up the spare row: padding is written to a spare block of each cache group, and its draws are ignored."""
        self.tensors.records_RC[-1, TOP_K].fill_(1)  # the least value that a filter can take
        for table, block in zip(self.tensors.block_ids, spare_blocks, strict=True):
            table[-1].fill_(block)

    def enter(self, new: NewRow, inbox: Inbox) -> None:
        """Fill a row with a request."""
        row, length = new.row, len(new.token_ids)
        assert 0 <= new.num_computed < length <= self.width, "a row must have a token to compute"
        self._num_entered += 1
        self.request_R[row] = self._num_entered
        self.num_tokens_R[row] = length
        self.num_prompt_R[row] = new.num_prompt_tokens
        self.num_computed_R[row] = new.num_computed
        inbox.set_run(row * NUM_COLUMNS, self._record_of(new))
        inbox.set_run(self.token_place(row, 0), new.token_ids)
        for group, block_ids in enumerate(new.block_ids):
            self._num_blocks[group, row] = 0
            self._append(row, group, block_ids, inbox)

    def change_tables(self, plan: StepPlan, inbox: Inbox) -> None:
        """Apply the diffs of a plan to the block tables."""
        for more in plan.new_blocks:
            self._append(more.row, more.group, more.block_ids, inbox)
        if plan.replaced_blocks:
            inbox.flush()  # an entry that was set above may change
            for change in plan.replaced_blocks:
                inbox.set(
                    self._block_place(change.group, change.row, change.index), change.block_id
                )

    def set_drafts(self, plan: StepPlan, inbox: Inbox) -> None:
        """Write guesses after the tokens of their rows."""
        for draft in plan.drafts:
            inbox.set_run(self.token_place(plan.rows[draft.place], draft.start), draft.token_ids)

    def token_place(self, row: int, position: int) -> int:
        """The index of a token among the words of all rows."""
        return self._starts[0] + row * self.width + position

    def _block_place(self, group: int, row: int, index: int) -> int:
        return self._starts[1 + group] + row * self.max_blocks + index

    def _append(self, row: int, group: int, block_ids: Sequence[int], inbox: Inbox) -> None:
        start = int(self._num_blocks[group, row])
        place = self._block_place(group, row, start)
        if len(block_ids) == 1:
            inbox.set(place, block_ids[0])
        else:
            inbox.set_run(place, block_ids)
        self._num_blocks[group, row] = start + len(block_ids)

    def _record_of(self, new: NewRow) -> NDArray[np.int32]:
        params, record = new.sampling, self._record
        floats, seed = record.view(np.float32), record.view(np.uint64)
        record[NUM_TOKENS] = len(new.token_ids)
        record[NUM_COMPUTED] = new.num_computed
        record[NUM_PROMPT] = new.num_prompt_tokens
        is_random = params.temperature > 0
        floats[INVERSE_TEMPERATURE] = min(1.0 / params.temperature, _LARGEST) if is_random else 0.0
        record[TOP_K] = min(params.top_k, self._vocab_size) or self._vocab_size
        floats[TOP_P] = params.top_p
        floats[MIN_P] = params.min_p
        floats[REPETITION] = params.repetition_penalty
        floats[PRESENCE] = params.presence_penalty
        floats[FREQUENCY] = params.frequency_penalty
        seed[SEED // 2] = new.seed & 0xFFFFFFFFFFFFFFFF
        if self._unscaled_length is not None:
            fits = params.computes_within(new.num_prompt_tokens, self._unscaled_length)
            record[FIRST_POSITION] = self.width - 1 if fits else 0
        return record


def _make_tensors(
    num_rows: int,
    width: int,
    max_blocks: int,
    num_groups: int,
    block_size: int,
    device: torch.device,
    *,
    has_first_positions: bool,
) -> RowTensors:
    sizes = [num_rows * NUM_COLUMNS, num_rows * width, *[num_rows * max_blocks] * num_groups]
    total = sum(sizes)
    assert total < 1 << 31, "places of words are int32"
    if device.type == "cpu":  # the system provides pages of zeros when they are first used
        words_W = torch.from_numpy(np.zeros(total, np.int32))
    else:
        words_W = torch.zeros(total, dtype=torch.int32, device=device)
    records, tokens, *tables = torch.split(words_W, sizes)
    return RowTensors(
        words_W=words_W,
        records_RC=records.view(num_rows, NUM_COLUMNS),
        token_ids_RL=tokens.view(num_rows, width),
        block_ids=tuple(table.view(num_rows, max_blocks) for table in tables),
        block_size=block_size,
        has_first_positions=has_first_positions,
    )
