"""Attention of rows with one query: several programs share the tiles of a context, the last one to finish adds the parts.

Flash decoding (Dao et al. 2023) with the heads of a group packed into one tile. Scores are kept in base 2.
"""

from __future__ import annotations

import triton
import triton.language as tl

from jackfield_torch.kernels.launch import begin, wait_for_inputs


@triton.jit
def capped(scores, cap):
    """cap * tanh(scores / cap), for scores in base e."""
    return cap * (1.0 - 2.0 / (1.0 + tl.exp(2.0 * scores / cap)))


@triton.jit
def first_in_sight(position, window, CHUNKED: tl.constexpr):
    """The first position that a query sees; it may be negative.

    A query sees the last `window` tokens, or if CHUNKED the tokens of its own chunk of `window` positions.
    """
    if CHUNKED:
        first = position // window * window
    else:
        first = position - window + 1
    return first


@triton.jit
def widened(number, dtype: tl.constexpr):
    """Numbers of the cache in the dtype of the queries. Bytes are E4M3 numbers, on chips that cannot convert these."""
    if number.dtype == tl.uint8:
        # Shift sign, exponent and fraction to their places in float16, whose exponent has a larger bias: 15 instead of 7.
        # Hence the factor 2**8.
        bits = ((number & 0x80).to(tl.uint16) << 8) | ((number & 0x7F).to(tl.uint16) << 7)
        return (bits.to(tl.float16, bitcast=True).to(tl.float32) * 256.0).to(dtype)
    return number.to(dtype)


@triton.jit(do_not_specialize=["window"])
def decode(
    q_ptr, key_ptr, value_ptr, o_ptr, part_ptr, sums_ptr, counters_ptr, starts_ptr, lengths_ptr, order_ptr,
    blocks_ptr, sinks_ptr, scale, window, cap, num_splits, tiles_of_split, q_stride, q_head_stride, o_stride, blocks_stride,
    key_block, key_slot, key_head, value_block, value_slot, value_head,
    GROUP: tl.constexpr, GROUP_PADDED: tl.constexpr, HEAD: tl.constexpr, HEAD_PADDED: tl.constexpr,
    TILE: tl.constexpr, BLOCK_SIZE: tl.constexpr, HAS_WINDOW: tl.constexpr, CHUNKED: tl.constexpr,
    HAS_CAP: tl.constexpr, SINKS: tl.constexpr, ORDERED: tl.constexpr, PRECISION: tl.constexpr, STAGES: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """Attend to one row, one kv head and one split: tiles split, split + splits, ... of the context.

    Programs for the heads of a row have neighbouring ids, because their keys are neighbours in memory.
    """
    begin(DEPENDENT)
    kv_head, row, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    num_kv_heads = tl.num_programs(0)
    # Order, lengths and tables were written before the previous kernel began, so they may be read without waiting.
    if ORDERED:
        row = tl.load(order_ptr + row)
    token = tl.load(starts_ptr + row)
    num_queries = tl.load(starts_ptr + row + 1) - token
    length = tl.load(lengths_ptr + row)
    first = 0
    if HAS_WINDOW:
        first_seen = tl.maximum(first_in_sight(length - 1, window, CHUNKED), 0)
        first = first_seen // TILE * TILE
    used_splits = tl.minimum(tl.cdiv(length - first, TILE * tiles_of_split), num_splits)
    wait_for_inputs(DEPENDENT)
    if num_queries != 1:
        return
    if split >= used_splits:
        return

    member = tl.arange(0, GROUP_PADDED)
    element = tl.arange(0, HEAD_PADDED)
    lane = tl.arange(0, TILE)
    head = kv_head * GROUP + member
    inside = (member < GROUP)[:, None] & (element < HEAD)[None, :]
    token = token.to(tl.int64)
    q = tl.load(
        q_ptr + token * q_stride + head[:, None] * q_head_stride + element[None, :],
        mask=inside, other=0.0,
    )  # fmt: skip
    table = blocks_ptr + row.to(tl.int64) * blocks_stride
    peak = tl.full([GROUP_PADDED], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_PADDED], tl.float32)
    o = tl.zeros([GROUP_PADDED, HEAD_PADDED], tl.float32)
    for start in tl.range(first + split * TILE, length, used_splits * TILE, num_stages=STAGES):
        position = start + lane
        seen = position < length
        if HAS_WINDOW:
            seen = seen & (position >= first_seen)
        if BLOCK_SIZE % TILE == 0:  # the whole tile is in one block
            block = tl.load(table + start // BLOCK_SIZE).to(tl.int64)
            offset = start % BLOCK_SIZE
            keys = key_ptr + (block * key_block + offset * key_slot + kv_head * key_head)
            keys = keys + (lane * key_slot)[None, :] + element[:, None]
            values = value_ptr + (block * value_block + offset * value_slot + kv_head * value_head)
            values = values + (lane * value_slot)[:, None] + element[None, :]
        else:
            block = tl.load(table + position // BLOCK_SIZE, mask=seen, other=0).to(tl.int64)
            slot = position % BLOCK_SIZE
            key_of_lane = block * key_block + slot * key_slot + kv_head * key_head
            keys = key_ptr + key_of_lane[None, :] + element[:, None]
            value_of_lane = block * value_block + slot * value_slot + kv_head * value_head
            values = value_ptr + value_of_lane[:, None] + element[None, :]
        readable = seen[None, :] & (element < HEAD)[:, None]
        key = widened(tl.load(keys, mask=readable, other=0.0), q.dtype)
        scores = tl.dot(q, key, input_precision=PRECISION)
        if HAS_CAP:
            scores = capped(scores * scale, cap) * 1.4426950408889634
        else:
            scores = scores * (scale * 1.4426950408889634)
        scores = tl.where(seen[None, :], scores, float("-inf"))
        new_peak = tl.maximum(peak, tl.max(scores, 1))
        safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
        fade = tl.exp2(peak - safe_peak)
        weights = tl.exp2(scores - safe_peak[:, None])
        total = total * fade + tl.sum(weights, 1)
        readable = seen[:, None] & (element < HEAD)[None, :]
        value = widened(tl.load(values, mask=readable, other=0.0), q.dtype)
        o = o * fade[:, None]
        o = tl.dot(weights.to(q.dtype), value, o, input_precision=PRECISION)
        peak = new_peak

    heads = num_kv_heads * GROUP
    if used_splits > 1:
        # Store the part of this split and count it. The program that completes the count adds all parts.
        place = (row.to(tl.int64) * heads + head) * num_splits + split
        tl.store(part_ptr + place[:, None] * HEAD + element[None, :], o, mask=inside)
        tl.store(sums_ptr + place * 2, peak, mask=member < GROUP)
        tl.store(sums_ptr + place * 2 + 1, total, mask=member < GROUP)
        tl.debug_barrier()
        counter = counters_ptr + row * num_kv_heads + kv_head
        arrived = tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu")
        tl.debug_barrier()
        if arrived != used_splits - 1:
            return
        tl.store(counter, 0)
        peak = tl.full([GROUP_PADDED], float("-inf"), tl.float32)
        total = tl.zeros([GROUP_PADDED], tl.float32)
        o = tl.zeros([GROUP_PADDED, HEAD_PADDED], tl.float32)
        for other in range(used_splits):
            place = (row.to(tl.int64) * heads + head) * num_splits + other
            other_peak = tl.load(
                sums_ptr + place * 2, mask=member < GROUP, other=0.0, cache_modifier=".cg"
            )
            other_total = tl.load(
                sums_ptr + place * 2 + 1, mask=member < GROUP, other=0.0, cache_modifier=".cg"
            )
            part = tl.load(
                part_ptr + place[:, None] * HEAD + element[None, :],
                mask=inside, other=0.0, cache_modifier=".cg",
            )  # fmt: skip
            new_peak = tl.maximum(peak, other_peak)
            safe_peak = tl.where(new_peak == float("-inf"), 0.0, new_peak)
            fade, other_fade = tl.exp2(peak - safe_peak), tl.exp2(other_peak - safe_peak)
            total = total * fade + other_total * other_fade
            o = o * fade[:, None] + part * other_fade[:, None]
            peak = new_peak
    if SINKS:
        sink = tl.load(sinks_ptr + head, mask=member < GROUP, other=0.0) * 1.4426950408889634
        new_peak = tl.maximum(peak, sink)
        fade = tl.exp2(peak - new_peak)
        total = total * fade + tl.exp2(sink - new_peak)
        o = o * fade[:, None]
    o = o / total[:, None]
    target = o_ptr + token * o_stride + head[:, None] * HEAD + element[None, :]
    tl.store(target, o.to(o_ptr.dtype.element_ty), mask=inside)
