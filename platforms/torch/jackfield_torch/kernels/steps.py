"""Derives on the device what a step needs from its rows: positions, tokens, slots and block tables."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs


@triton.jit
def _update(words_ptr, updates_ptr, num_updates, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr):
    begin(DEPENDENT)
    update = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = update < num_updates
    wait_for_inputs(DEPENDENT)
    place = tl.load(updates_ptr + 2 * update, mask=inside, other=0)
    value = tl.load(updates_ptr + 2 * update + 1, mask=inside, other=0)
    tl.store(words_ptr + place, value, mask=inside)


def update_words(words_W: Tensor, updates_U2: Tensor) -> None:
    """Set words of `words_W`, given as int32 pairs of an index and a value."""
    if len(updates_U2):
        _update[(triton.cdiv(len(updates_U2), 1024),)](
            words_W, updates_U2, len(updates_U2), BLOCK=1024, **launch_options(words_W.device)
        )


@triton.jit
def _prepare_rows(
    records_ptr, tokens_ptr, table_ptr, rows_ptr, counts_ptr, starts_ptr,
    token_ids_ptr, positions_ptr, lengths_ptr, block_ids_ptr, slots_ptr,
    record_stride, token_stride, table_stride, block_ids_stride, num_tokens_column, num_computed_column,
    FIRST_GROUP: tl.constexpr, BLOCK_SIZE: tl.constexpr, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """One row: its tokens of this step, then the part of its block table that it uses."""
    begin(DEPENDENT)
    place = tl.program_id(0)
    wait_for_inputs(DEPENDENT)
    row = tl.load(rows_ptr + place).to(tl.int64)
    count = tl.load(counts_ptr + place)
    first_token = tl.load(starts_ptr + place)
    if FIRST_GROUP:
        record = records_ptr + row * record_stride
        start = tl.load(record + num_computed_column)
        computed = tl.minimum(start + count, tl.load(record + num_tokens_column))
        tl.store(lengths_ptr + place, start + count)
        tl.store(record + num_computed_column, computed)
    else:  # the count of computed tokens has moved on
        start = tl.load(lengths_ptr + place) - count
    table = table_ptr + row * table_stride
    lane = tl.arange(0, BLOCK)
    for base in range(0, count, BLOCK):
        inside = base + lane < count
        position = start + base + lane
        target = first_token + base + lane
        if FIRST_GROUP:
            token = tl.load(tokens_ptr + row * token_stride + position, mask=inside, other=0)
            tl.store(token_ids_ptr + target, token, mask=inside)
            tl.store(positions_ptr + target, position.to(tl.int64), mask=inside)
        block = tl.load(table + position // BLOCK_SIZE, mask=inside, other=0).to(tl.int64)
        tl.store(slots_ptr + target, block * BLOCK_SIZE + position % BLOCK_SIZE, mask=inside)
    num_blocks = tl.cdiv(start + count, BLOCK_SIZE)
    for base in range(0, num_blocks, BLOCK):
        inside = base + lane < num_blocks
        block = tl.load(table + base + lane, mask=inside, other=0)
        tl.store(
            block_ids_ptr + place.to(tl.int64) * block_ids_stride + base + lane, block, mask=inside
        )


def prepare_rows(
    records_RC: Tensor,
    token_ids_RL: Tensor,
    table_RB: Tensor,
    columns: tuple[int, int],
    block_size: int,
    *,
    rows_S: Tensor,
    counts_S: Tensor,
    query_starts_S1: Tensor,
    token_ids_T: Tensor,
    positions_T: Tensor,
    lengths_S: Tensor,
    block_ids_SB: Tensor,
    slots_T: Tensor,
    is_first_group: bool,
) -> None:
    """Fill the tensors of a step for one cache group. The first group also fills shared tensors and counts tokens.

    `columns`: indices in the records of the number of tokens and of computed tokens. Only the used part of a block
    table is copied; the rest keeps values of earlier steps.
    """
    num_rows, num_tokens = len(rows_S), len(positions_T)
    block = 32 if num_tokens == num_rows else 1024
    _prepare_rows[(num_rows,)](
        records_RC, token_ids_RL, table_RB, rows_S, counts_S, query_starts_S1,
        token_ids_T, positions_T, lengths_S, block_ids_SB, slots_T,
        records_RC.stride(0), token_ids_RL.stride(0), table_RB.stride(0), block_ids_SB.stride(0), *columns,
        FIRST_GROUP=is_first_group, BLOCK_SIZE=block_size, BLOCK=block, num_warps=1 if block == 32 else 4,
        **launch_options(records_RC.device),
    )  # fmt: skip


@triton.jit
def _append(
    records_ptr, tokens_ptr, rows_ptr, drawn_ptr, record_stride, token_stride, num_tokens_column,
    num_rows, spare_row, BLOCK: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    begin(DEPENDENT)
    place = tl.arange(0, BLOCK)
    wait_for_inputs(DEPENDENT)
    inside = place < num_rows
    row = tl.load(rows_ptr + place, mask=inside, other=0).to(tl.int64)
    inside = inside & (row < spare_row)
    drawn = tl.load(drawn_ptr + place, mask=inside, other=0)
    count = tl.load(records_ptr + row * record_stride + num_tokens_column, mask=inside, other=0)
    tl.store(
        tokens_ptr + row * token_stride + count, tl.maximum(drawn, 0).to(tl.int32), mask=inside
    )
    tl.store(records_ptr + row * record_stride + num_tokens_column, count + 1, mask=inside)


def append_drawn(
    records_RC: Tensor,
    token_ids_RL: Tensor,
    num_tokens_column: int,
    rows_S: Tensor,
    drawn_S: Tensor,
) -> None:
    """Append a token to each of these rows, except the last (spare) row. A negative id means token 0."""
    num_rows = len(rows_S)
    _append[(1,)](
        records_RC, token_ids_RL, rows_S, drawn_S, records_RC.stride(0), token_ids_RL.stride(0), num_tokens_column,
        num_rows, len(records_RC) - 1, BLOCK=next_power_of_two(num_rows), num_warps=4,
        **launch_options(records_RC.device),
    )  # fmt: skip
