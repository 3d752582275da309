"""Attention over a latent cache: one row of numbers a token, which all heads read; its first numbers are the value too.

A tile of the cache is read once and multiplied twice, with 16 or 32 lines; a line is one head of one query. Scores are kept in
base 2. Sources: DeepSeek-AI 2024 (DeepSeek-V2), section 2.1; Dao et al. 2023 (flash decoding).
"""

from __future__ import annotations

import triton
import triton.language as tl

from jackfield_torch.kernels.launch import begin, wait_for_inputs
from jackfield_triton_attn.decode import widened
from jackfield_triton_attn.prefill import row_of_tile


@triton.jit(do_not_specialize=["num_rows", "num_splits"])
def attend_latent(
    q_ptr, cache_ptr, o_ptr, part_ptr, sums_ptr, starts_ptr, lengths_ptr, blocks_ptr, scale, num_rows, num_splits,
    q_stride, q_head_stride, o_stride, blocks_stride, cache_block, cache_slot,
    HEADS: tl.constexpr, GROUP: tl.constexpr, QUERIES: tl.constexpr, LINES: tl.constexpr,
    LATENT: tl.constexpr, LATENT_PADDED: tl.constexpr, ROTATED: tl.constexpr, ROTATED_PADDED: tl.constexpr,
    TILE: tl.constexpr, BLOCK_SIZE: tl.constexpr, SINGLE: tl.constexpr, SPLIT: tl.constexpr, PRECISION: tl.constexpr,
    STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
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
    factor = scale * 1.4426950408889634
    peak = tl.full([LINES], float("-inf"), tl.float32)
    total = tl.zeros([LINES], tl.float32)
    o = tl.zeros([LINES, LATENT_PADDED], tl.float32)
    step = num_splits * TILE
    if BLOCK_SIZE % TILE == 0:  # one block holds a tile; its id is known one tile ahead
        next_block = tl.load(table + tl.minimum(split * TILE, high - 1) // BLOCK_SIZE)
    for start in tl.range(split * TILE, high, step, num_stages=STAGES):
        position = start + lane
        exists = position < high
        if BLOCK_SIZE % TILE == 0:
            block = next_block.to(tl.int64)
            next_block = tl.load(table + tl.minimum(start + step, high - 1) // BLOCK_SIZE)
            places = cache_ptr + block * cache_block + (start % BLOCK_SIZE + lane) * cache_slot
        else:
            blocks = tl.load(table + position // BLOCK_SIZE, mask=exists, other=0).to(tl.int64)
            places = cache_ptr + blocks * cache_block + (position % BLOCK_SIZE) * cache_slot
        # what is not written may hold anything
        inside = exists[:, None] & (element < LATENT)[None, :]
        kept = tl.load(places[:, None] + element[None, :], mask=inside, other=0.0)
        inside = exists[:, None] & (rotated < ROTATED)[None, :]
        key = tl.load(places[:, None] + (LATENT + rotated)[None, :], mask=inside, other=0.0)
        kept, key = widened(kept, q.dtype), widened(key, q.dtype)
        scores = tl.dot(q_rotated, tl.trans(key), input_precision=PRECISION)
        scores = tl.dot(q, tl.trans(kept), scores, input_precision=PRECISION) * factor
        if SINGLE:
            scores = tl.where(exists[None, :], scores, float("-inf"))
        else:
            scores = tl.where(position[None, :] <= last_seen[:, None], scores, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1))
        safe_peak = new_peak
        if not SINGLE:  # a query may see nothing of the tile
            safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        fade = tl.exp2(peak - safe_peak)
        weights = tl.exp2(scores - safe_peak[:, None])
        total = total * fade + tl.sum(weights, 1)
        o = o * fade[:, None]
        o = tl.dot(weights.to(q.dtype), kept, o, input_precision=PRECISION)
        peak = new_peak

    place = token * HEADS + head
    inside = is_line[:, None] & (element < LATENT)[None, :]
    if SPLIT:
        place = place * num_splits + split
        tl.store(sums_ptr + place * 2, peak, mask=is_line)
        tl.store(sums_ptr + place * 2 + 1, total, mask=is_line)
        if split * TILE < high:
            tl.store(part_ptr + place[:, None] * LATENT + element[None, :], o, mask=inside)
    else:
        o = o / total[:, None]
        target = o_ptr + token[:, None] * o_stride + head[:, None] * LATENT + element[None, :]
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
