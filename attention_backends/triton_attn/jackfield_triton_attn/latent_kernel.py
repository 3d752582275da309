"""Attention over a latent cache: one row of numbers a token, which all heads read; its first numbers are the value too.

Scores are computed transposed, keys times lines (a line is one head of one query): so a tile of the cache is the left side
of both products, it is read once, and 16 lines suffice for tensor cores. Scores are kept in base 2. Sources: DeepSeek-AI
2024 (DeepSeek-V2), section 2.1; Dao et al. 2023 (flash decoding).
"""

from __future__ import annotations

import triton
import triton.language as tl

from jackfield_torch.kernels.launch import begin, wait_for_inputs
from jackfield_triton_attn.decode import widened
from jackfield_triton_attn.prefill import row_of_tile


@triton.jit
def _tile(
    cache_ptr, table, start, high, element, rotated, lane, cache_block, cache_slot,
    LATENT: tl.constexpr, ROTATED: tl.constexpr, BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """The latent vectors of TILE positions from `start` on, and their rotated keys; 0 from `high` on."""
    position = start + lane
    exists = position < high
    if BLOCK_SIZE % TILE == 0:  # one block holds the tile
        block = tl.load(table + tl.minimum(start, high - 1) // BLOCK_SIZE).to(tl.int64)
        places = cache_ptr + block * cache_block + (start % BLOCK_SIZE + lane) * cache_slot
    else:
        block = tl.load(table + position // BLOCK_SIZE, mask=exists, other=0).to(tl.int64)
        places = cache_ptr + block * cache_block + (position % BLOCK_SIZE) * cache_slot
    # what is not written may hold anything
    inside = exists[:, None] & (element < LATENT)[None, :]
    kept = tl.load(places[:, None] + element[None, :], mask=inside, other=0.0)
    inside = exists[:, None] & (rotated < ROTATED)[None, :]
    key = tl.load(places[:, None] + (LATENT + rotated)[None, :], mask=inside, other=0.0)
    return kept, key


@triton.jit(do_not_specialize=["num_rows", "num_splits"])
def attend_latent(
    q_ptr, cache_ptr, o_ptr, part_ptr, sums_ptr, starts_ptr, lengths_ptr, blocks_ptr, scale, num_rows, num_splits,
    q_stride, q_head_stride, o_stride, blocks_stride, cache_block, cache_slot,
    HEADS: tl.constexpr, GROUP: tl.constexpr, QUERIES: tl.constexpr, LINES: tl.constexpr,
    LATENT: tl.constexpr, LATENT_PADDED: tl.constexpr, ROTATED: tl.constexpr, ROTATED_PADDED: tl.constexpr,
    TILE: tl.constexpr, BLOCK_SIZE: tl.constexpr, SINGLE: tl.constexpr, SPLIT: tl.constexpr, PRECISION: tl.constexpr,
    AHEAD: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """QUERIES queries of one row times GROUP heads, over every so manieth tile of the context."""
    begin(DEPENDENT)
    group, tile, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    # lengths, starts and tables are older than the kernel before this one
    row, first_query = tile, 0
    if not SINGLE:
        row = row_of_tile(starts_ptr, num_rows, tile, QUERIES)
    start_of_row = tl.load(starts_ptr + row)
    num_queries = tl.load(starts_ptr + row + 1) - start_of_row
    if not SINGLE:
        first_query = (tile - (start_of_row // QUERIES + row)) * QUERIES
        if first_query >= num_queries:
            return
    length = tl.load(lengths_ptr + row)
    context = length - num_queries  # tokens before the queries of this step
    # tokens that the last query of the tile sees
    high = context + tl.minimum(first_query + QUERIES, num_queries)
    table = blocks_ptr + row.to(tl.int64) * blocks_stride

    line = tl.arange(0, LINES)
    query = first_query + line // GROUP
    head = group * GROUP + line % GROUP
    is_line = (line < QUERIES * GROUP) & (query < num_queries) & (head < HEADS)
    last_seen = context + tl.minimum(query, num_queries - 1)
    token = (start_of_row + query).to(tl.int64)
    element = tl.arange(0, LATENT_PADDED)
    rotated = tl.arange(0, ROTATED_PADDED)
    lane = tl.arange(0, TILE)
    wait_for_inputs(DEPENDENT)
    queries = q_ptr + token[:, None] * q_stride + head[:, None] * q_head_stride
    q = tl.load(
        queries + element[None, :], mask=is_line[:, None] & (element < LATENT)[None, :], other=0.0
    )
    q_rotated = tl.load(
        queries + LATENT + rotated[None, :],
        mask=is_line[:, None] & (rotated < ROTATED)[None, :], other=0.0,
    )  # fmt: skip
    q, q_rotated = tl.trans(q), tl.trans(q_rotated)
    factor = scale * 1.4426950408889634
    peak = tl.full([LINES], float("-inf"), tl.float32)
    total = tl.zeros([LINES], tl.float32)
    o = tl.zeros([LATENT_PADDED, LINES], tl.float32)
    if AHEAD:
        next_kept, next_key = _tile(
            cache_ptr, table, split * TILE, high, element, rotated, lane, cache_block, cache_slot,
            LATENT, ROTATED, BLOCK_SIZE, TILE,
        )  # fmt: skip
    for start in tl.range(split * TILE, high, num_splits * TILE, num_stages=1):
        if AHEAD:  # one tile is on its way while another one is multiplied
            kept, key = next_kept, next_key
            next_kept, next_key = _tile(
                cache_ptr, table, start + num_splits * TILE, high, element, rotated, lane, cache_block, cache_slot,
                LATENT, ROTATED, BLOCK_SIZE, TILE,
            )  # fmt: skip
        else:
            kept, key = _tile(
                cache_ptr, table, start, high, element, rotated, lane, cache_block, cache_slot,
                LATENT, ROTATED, BLOCK_SIZE, TILE,
            )  # fmt: skip
        kept = widened(kept, q.dtype)
        position = start + lane
        scores = tl.dot(widened(key, q.dtype), q_rotated, input_precision=PRECISION)
        scores = tl.dot(kept, q, scores, input_precision=PRECISION) * factor
        if SINGLE:
            scores = tl.where((position < high)[:, None], scores, float("-inf"))
        else:
            scores = tl.where(position[:, None] <= last_seen[None, :], scores, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 0))
        safe_peak = new_peak
        if not SINGLE:  # a query may see nothing of the tile
            safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        fade = tl.exp2(peak - safe_peak)
        weights = tl.exp2(scores - safe_peak[None, :])
        total = total * fade + tl.sum(weights, 0)
        o = o * fade[None, :]
        o = tl.dot(tl.trans(kept), weights.to(q.dtype), o, input_precision=PRECISION)
        peak = new_peak

    place = token * HEADS + head
    inside = (element < LATENT)[:, None] & is_line[None, :]
    if SPLIT:
        place = place * num_splits + split
        tl.store(sums_ptr + place * 2, peak, mask=is_line)
        tl.store(sums_ptr + place * 2 + 1, total, mask=is_line)
        if split * TILE < high:
            tl.store(part_ptr + place[None, :] * LATENT + element[:, None], o, mask=inside)
    else:
        o = o / total[None, :]
        target = o_ptr + token[None, :] * o_stride + head[None, :] * LATENT + element[:, None]
        tl.store(target, o.to(o_ptr.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["num_splits"])
def combine_parts(
    o_ptr, part_ptr, sums_ptr, num_splits, o_stride,
    LATENT: tl.constexpr, ELEMENTS: tl.constexpr, SPLITS: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """ELEMENTS elements of one head of one token, added up over the splits of its context."""
    begin(DEPENDENT)
    head, token = tl.program_id(0), tl.program_id(1).to(tl.int64)
    element = tl.program_id(2) * ELEMENTS + tl.arange(0, ELEMENTS)
    split = tl.arange(0, SPLITS)
    wait_for_inputs(DEPENDENT)
    place = (token * tl.num_programs(0) + head) * num_splits + split
    exists = split < num_splits
    peak = tl.load(sums_ptr + place * 2, mask=exists, other=float("-inf"))
    total = tl.load(sums_ptr + place * 2 + 1, mask=exists, other=0.0)
    fade = tl.exp2(peak - tl.max(peak, 0))  # 0 for splits that saw nothing
    is_read = (fade > 0.0)[:, None] & (element < LATENT)[None, :]
    parts = tl.load(part_ptr + place[:, None] * LATENT + element[None, :], mask=is_read, other=0.0)
    o = tl.sum(parts * fade[:, None], 0) / tl.sum(total * fade, 0)
    target = o_ptr + token * o_stride + head * LATENT + element
    tl.store(target, o.to(o_ptr.dtype.element_ty), mask=element < LATENT)
