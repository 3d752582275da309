"""Attention of rows with several queries: tiles of queries times the heads of a group, over the row's context.

FlashAttention-2 (Dao 2023) over a paged cache. Scores are kept in base 2.
"""

from __future__ import annotations

import triton
import triton.language as tl

from jackfield_torch.kernels.launch import begin, wait_for_inputs
from jackfield_triton_attn.decode import capped, first_in_sight, widened


@triton.jit
def row_of_tile(starts_ptr, num_rows, tile, QUERIES: tl.constexpr):
    """The row that owns a tile. The tiles of row r begin at starts[r] // QUERIES + r."""
    low, high = 0, num_rows
    while low < high:
        middle = (low + high) // 2
        if tl.load(starts_ptr + middle) // QUERIES + middle <= tile:
            low = middle + 1
        else:
            high = middle
    return low - 1


@triton.jit
def _attend_tiles(
    o, peak, total, q, key_ptr, value_ptr, keys_described, values_described, table, kv_head, position_of_query, first_of_query,
    length, low, high, scale, cap, key_block, key_slot, key_head, value_block, value_slot, value_head,
    HEAD: tl.constexpr, HEAD_PADDED: tl.constexpr, TILE: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    DESCRIBED: tl.constexpr, MASKED: tl.constexpr, CAUSAL: tl.constexpr, HAS_WINDOW: tl.constexpr, HAS_CAP: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Add the keys at positions `low` to `high` to the running softmax."""
    element = tl.arange(0, HEAD_PADDED)
    lane = tl.arange(0, TILE)
    for start in tl.range(low, high, TILE, num_stages=STAGES):
        position = start + lane
        if MASKED:
            exists = position < length
        if BLOCK_SIZE % TILE == 0:  # the whole tile is in one block
            block = tl.load(table + start // BLOCK_SIZE).to(tl.int64)
            first = start % BLOCK_SIZE
            keys = key_ptr + (block * key_block + first * key_slot + kv_head * key_head)
            keys = keys + (lane * key_slot)[None, :] + element[:, None]
            values = value_ptr + (block * value_block + first * value_slot + kv_head * value_head)
            values = values + (lane * value_slot)[:, None] + element[None, :]
        else:
            if MASKED:
                block = tl.load(table + position // BLOCK_SIZE, mask=exists, other=0).to(tl.int64)
            else:
                block = tl.load(table + position // BLOCK_SIZE).to(tl.int64)
            slot = position % BLOCK_SIZE
            key_of_lane = block * key_block + slot * key_slot + kv_head * key_head
            keys = key_ptr + key_of_lane[None, :] + element[:, None]
            value_of_lane = block * value_block + slot * value_slot + kv_head * value_head
            values = value_ptr + value_of_lane[:, None] + element[None, :]
        if DESCRIBED and not MASKED:
            place = (block * BLOCK_SIZE + first).to(tl.int32)
            key = keys_described.load([place, kv_head * HEAD]).T
            value = values_described.load([place, kv_head * HEAD])
        elif MASKED:
            if HAS_WINDOW:  # blocks that no query sees may be in use by other requests
                exists = exists & (position >= tl.min(first_of_query, 0))
            key = tl.load(keys, mask=exists[None, :] & (element < HEAD)[:, None], other=0.0)
            value = tl.load(values, mask=exists[:, None] & (element < HEAD)[None, :], other=0.0)
        elif HEAD == HEAD_PADDED:
            key, value = tl.load(keys), tl.load(values)
        else:
            key = tl.load(keys, mask=(element < HEAD)[:, None], other=0.0)
            value = tl.load(values, mask=(element < HEAD)[None, :], other=0.0)
        scores = tl.dot(q, widened(key, q.dtype), input_precision=PRECISION)
        # log2(e) turns scores into those of base 2. It is applied after the peak was found.
        factor = scale * 1.4426950408889634
        if HAS_CAP:
            scores, factor = capped(scores * scale, cap), 1.4426950408889634
        if MASKED:
            seen = exists[None, :]
            if CAUSAL:
                seen = seen & (position[None, :] <= position_of_query[:, None])
            if HAS_WINDOW:
                seen = seen & (position[None, :] >= first_of_query[:, None])
            scores = tl.where(seen, scores, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1) * factor)
        safe_peak = new_peak
        if MASKED:
            safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        fade = tl.exp2(peak - safe_peak)
        weights = tl.exp2(scores * factor - safe_peak[:, None])
        total = total * fade + tl.sum(weights, 1)
        o = o * fade[:, None]
        o = tl.dot(weights.to(q.dtype), widened(value, q.dtype), o, input_precision=PRECISION)
        peak = new_peak
    return o, peak, total


@triton.jit(do_not_specialize=["window", "num_rows"])
def prefill(
    q_ptr, key_ptr, value_ptr, keys_described, values_described, o_ptr, starts_ptr, lengths_ptr, blocks_ptr, sinks_ptr,
    scale, window, cap, num_rows, q_stride, q_head_stride, o_stride, blocks_stride,
    key_block, key_slot, key_head, value_block, value_slot, value_head,
    GROUP: tl.constexpr, HEAD: tl.constexpr, HEAD_PADDED: tl.constexpr, QUERIES: tl.constexpr,
    LINES: tl.constexpr, TILE: tl.constexpr, BLOCK_SIZE: tl.constexpr, DESCRIBED: tl.constexpr, CAUSAL: tl.constexpr,
    HAS_WINDOW: tl.constexpr, CHUNKED: tl.constexpr, HAS_CAP: tl.constexpr, SINKS: tl.constexpr, SKIP_SINGLE: tl.constexpr,
    PRECISION: tl.constexpr, STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """Attend to a tile of LINES lines: QUERIES queries of one row times the GROUP heads of a kv head."""
    begin(DEPENDENT)
    # The tiles with the most keys are the last ones of a row, so they start first.
    tile, kv_head = tl.num_programs(0) - 1 - tl.program_id(0), tl.program_id(1)
    wait_for_inputs(DEPENDENT)
    row = row_of_tile(starts_ptr, num_rows, tile, QUERIES)
    start_of_row = tl.load(starts_ptr + row)
    num_queries = tl.load(starts_ptr + row + 1) - start_of_row
    first_query = (tile - (start_of_row // QUERIES + row)) * QUERIES
    if first_query >= num_queries:
        return
    if SKIP_SINGLE:
        if num_queries == 1:
            return
    length = tl.load(lengths_ptr + row)
    line = tl.arange(0, LINES)
    element = tl.arange(0, HEAD_PADDED)
    query = first_query + line // GROUP
    head = kv_head * GROUP + line % GROUP
    is_line = (line < QUERIES * GROUP) & (query < num_queries)
    inside = is_line[:, None] & (element < HEAD)[None, :]
    token = (start_of_row + query).to(tl.int64)
    q = tl.load(
        q_ptr + token[:, None] * q_stride + head[:, None] * q_head_stride + element[None, :],
        mask=inside, other=0.0,
    )  # fmt: skip
    context = length - num_queries  # tokens before the queries of this step
    position_of_query = context + tl.minimum(query, num_queries - 1)
    last_query = tl.minimum(first_query + QUERIES, num_queries) - 1
    high = length
    # All queries see the keys below this position, so these tiles need no mask.
    full = length // TILE * TILE
    if CAUSAL:
        high = context + last_query + 1
        full = (context + first_query + 1) // TILE * TILE
    low = 0
    first_of_query = position_of_query  # not read if there is no window
    if HAS_WINDOW:
        first_of_query = first_in_sight(position_of_query, window, CHUNKED)
        low = tl.maximum(first_in_sight(context + first_query, window, CHUNKED), 0) // TILE * TILE
        full = low
    table = blocks_ptr + row.to(tl.int64) * blocks_stride
    peak = tl.full([LINES], float("-inf"), tl.float32)
    total = tl.zeros([LINES], tl.float32)
    o = tl.zeros([LINES, HEAD_PADDED], tl.float32)
    if not HAS_WINDOW:
        o, peak, total = _attend_tiles(
            o, peak, total, q, key_ptr, value_ptr, keys_described, values_described, table, kv_head, position_of_query,
            first_of_query, length, low, full, scale, cap, key_block, key_slot, key_head, value_block, value_slot, value_head,
            HEAD, HEAD_PADDED, TILE, BLOCK_SIZE, DESCRIBED, False, CAUSAL, HAS_WINDOW, HAS_CAP, PRECISION, STAGES,
        )  # fmt: skip
    o, peak, total = _attend_tiles(
        o, peak, total, q, key_ptr, value_ptr, keys_described, values_described, table, kv_head, position_of_query,
        first_of_query, length, full, high, scale, cap, key_block, key_slot, key_head, value_block, value_slot, value_head,
        HEAD, HEAD_PADDED, TILE, BLOCK_SIZE, DESCRIBED, True, CAUSAL, HAS_WINDOW, HAS_CAP, PRECISION, STAGES,
    )  # fmt: skip
    if SINKS:
        sink = tl.load(sinks_ptr + head) * 1.4426950408889634
        new_peak = tl.maximum(peak, sink)
        fade = tl.exp2(peak - new_peak)
        total = total * fade + tl.exp2(sink - new_peak)
        o = o * fade[:, None]
    o = o / total[:, None]
    target = o_ptr + token[:, None] * o_stride + head[:, None] * HEAD + element[None, :]
    tl.store(target, o.to(o_ptr.dtype.element_ty), mask=inside)
