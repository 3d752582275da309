"""Causal attention of rows with several queries on Hopper: copies, products and the softmax run side by side.

FlashAttention-3 (Shah et al. 2024, section 3) over a paged cache, in Gluon, Triton's language with explicit layouts and waits.
One warp asks the copy engine for tiles of keys and values. Two groups of four warps attend, each with 64 lines of its own: the
queries of a row times the heads of a kv head. Scores are kept in base 2.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from jackfield_torch.kernels.launch import begin, wait_for_inputs
from jackfield_triton_attn.prefill import row_of_tile

# 64 elements of a slot, 128 bytes, are copied together.
BOXES = gl.NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=2)


@gluon.jit
def _ask(
    boxes, tiles, arrived, table, start, last_block, column, slot,
    BOX: gl.constexpr, BLOCK_SIZE: gl.constexpr, TILE: gl.constexpr, HEAD: gl.constexpr,
):  # fmt: skip
    """Send for the TILE slots of one head from position `start` on. Blocks behind the row's last one are that one again."""
    for place in gl.static_range(TILE // BOX):
        position = start + place * BOX
        block = gl.load(table + gl.minimum(position // BLOCK_SIZE, last_block))
        first = block * BLOCK_SIZE + position % BLOCK_SIZE
        for part in gl.static_range(HEAD // 64):
            box = tiles.index((slot * (HEAD // 64) + part) * (TILE // BOX) + place)
            tma.async_copy_global_to_shared(boxes, [first, column + part * 64], arrived, box)


@gluon.jit
def _clear(tiles, slot, count, TILE: gl.constexpr, HEAD: gl.constexpr):
    """Set the values of a tile to zero from its slot `count` on: what stands there may be no number."""
    layout: gl.constexpr = gl.BlockedLayout([1, 16], [8, 4], [1, 1], [1, 0])
    parts = tiles._reinterpret(tiles.dtype, [tiles.numel // 512, 8, 64], BOXES)
    row = gl.arange(0, 8, gl.SliceLayout(1, layout))
    for column in gl.static_range(HEAD // 64):
        for eight in range(count // 8, TILE // 8):
            part = parts.index((slot * (HEAD // 64) + column) * (TILE // 8) + eight)
            value = part.load(layout)
            part.store(gl.where((eight * 8 + row < count)[:, None], value, gl.zeros_like(value)))
    fence_async_shared()


@gluon.jit
def _copy(
    BOX: gl.constexpr, BLOCK_SIZE: gl.constexpr, TILE: gl.constexpr, HEAD: gl.constexpr, STAGES: gl.constexpr, column,
    key_boxes, value_boxes, keys, values, key_ready, value_ready, key_free, value_free, patched, table, length, high,
):  # fmt: skip
    """Fill free slots with the tiles of keys and values below position `high`."""
    last_block = (length - 1) // BLOCK_SIZE
    for step in range(gl.cdiv(high, TILE)):
        start, slot, phase = step * TILE, step % STAGES, (step // STAGES & 1) ^ 1
        mbarrier.wait(key_free.index(slot), phase)
        mbarrier.expect(key_ready.index(slot), TILE * HEAD * 2)
        _ask(key_boxes, keys, key_ready.index(slot), table, start, last_block, column, slot, BOX, BLOCK_SIZE, TILE, HEAD)  # fmt: skip
        mbarrier.wait(value_free.index(slot), phase)
        if start + TILE <= length:
            mbarrier.expect(value_ready.index(slot), TILE * HEAD * 2)
            _ask(value_boxes, values, value_ready.index(slot), table, start, last_block, column, slot, BOX, BLOCK_SIZE, TILE, HEAD)  # fmt: skip
        else:  # the row's last tile
            mbarrier.expect(patched, TILE * HEAD * 2)
            _ask(value_boxes, values, patched, table, start, last_block, column, slot, BOX, BLOCK_SIZE, TILE, HEAD)  # fmt: skip
            mbarrier.wait(patched, 0)
            _clear(values, slot, length - start, TILE, HEAD)
            mbarrier.arrive(value_ready.index(slot), count=1)


@gluon.jit
def _weigh(scores, peak, factor, first, position_of_query, MASKED: gl.constexpr):
    """The new peak of each line, and the weights of its keys. A line sees keys up to the position of its query."""
    if MASKED:
        position = first + gl.arange(0, scores.shape[1], gl.SliceLayout(0, scores.type.layout))
        seen = position[None, :] <= position_of_query[:, None]
        scores = gl.where(seen, scores, float("-inf"))
    new_peak = gl.maximum(peak, gl.max(scores, 1) * factor)
    return new_peak, gl.exp2(scores * factor - new_peak[:, None])


@gluon.jit
def _attend_tiles(
    o, peak, total, weights, q_tile, key_tiles, value_tiles, key_ready, value_ready, key_free, value_free, low, high, factor,
    position_of_query, TILE: gl.constexpr, STAGES: gl.constexpr, MASKED: gl.constexpr,
):  # fmt: skip
    """Go through tiles `low` to `high`. The values of a tile are added while the keys of the next one are weighed."""
    s_layout: gl.constexpr = position_of_query.type.layout.parent
    o_layout: gl.constexpr = o.type.layout
    for step in range(low, high):
        slot, before = step % STAGES, (step - 1) % STAGES
        mbarrier.wait(key_ready.index(slot), step // STAGES & 1)
        empty = gl.zeros([o.shape[0], TILE], gl.float32, s_layout)
        scores = warpgroup_mma(q_tile, key_tiles.index(slot).permute((1, 0)), empty, use_acc=False, is_async=True)  # fmt: skip
        mbarrier.wait(value_ready.index(before), (step - 1) // STAGES & 1)
        o = warpgroup_mma(weights, value_tiles.index(before), o, is_async=True)
        scores = warpgroup_mma_wait(1, deps=[scores])
        mbarrier.arrive(key_free.index(slot), count=1)
        new_peak, new_weights = _weigh(scores, peak, factor, step * TILE, position_of_query, MASKED)
        fade = gl.exp2(peak - new_peak)
        total = total * fade + gl.sum(new_weights, 1)
        peak = new_peak
        o, weights = warpgroup_mma_wait(0, deps=[o, weights])
        mbarrier.arrive(value_free.index(before), count=1)
        o = o * gl.convert_layout(fade, gl.SliceLayout(1, o_layout))[:, None]
        weights = gl.convert_layout(new_weights.to(q_tile.dtype), gl.DotOperandLayout(0, o_layout, 2))  # fmt: skip
    return o, peak, total, weights


@gluon.jit
def _attend(
    GROUP: gl.constexpr, HEAD: gl.constexpr, QUERIES: gl.constexpr, LINES: gl.constexpr, TILE: gl.constexpr,
    STAGES: gl.constexpr, q_tile, first_query, q_ptr, o_ptr, keys, values, key_ready, value_ready, key_free, value_free,
    start_of_row, num_queries, context, high, kv_head, factor, q_stride, q_head_stride, o_stride,
):  # fmt: skip
    """Attend with one group of warps: LINES lines, which are QUERIES queries times GROUP heads."""
    s_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, TILE, 16])
    o_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, HEAD, 16])
    stored: gl.constexpr = gl.BlockedLayout([1, 8], [256 // HEAD, HEAD // 8], [4, 1], [1, 0])
    # Where the lines stand in the tensors.
    line = gl.arange(0, LINES, gl.SliceLayout(1, stored))
    element = gl.arange(0, HEAD, gl.SliceLayout(0, stored))
    query, head = first_query + line // GROUP, kv_head * GROUP + line % GROUP
    inside = ((line < QUERIES * GROUP) & (query < num_queries))[:, None] & (element >= 0)[None, :]
    token = (start_of_row + query).to(gl.int64)
    at = token[:, None] * q_stride + head[:, None] * q_head_stride + element[None, :]
    q_tile.store(gl.load(q_ptr + at, mask=inside, other=0.0))
    fence_async_shared()
    gl.thread_barrier()

    query_of_line = first_query + gl.arange(0, LINES, gl.SliceLayout(1, s_layout)) // GROUP
    position_of_query = context + gl.minimum(query_of_line, num_queries - 1)
    key_tiles = keys._reinterpret(q_tile.dtype, [STAGES, TILE, HEAD], BOXES)
    value_tiles = values._reinterpret(q_tile.dtype, [STAGES, TILE, HEAD], BOXES)
    # The first tile.
    mbarrier.wait(key_ready.index(0), 0)
    empty = gl.zeros([LINES, TILE], gl.float32, s_layout)
    scores = warpgroup_mma(q_tile, key_tiles.index(0).permute((1, 0)), empty, use_acc=False, is_async=True)  # fmt: skip
    scores = warpgroup_mma_wait(0, deps=[scores])
    mbarrier.arrive(key_free.index(0), count=1)
    peak = gl.full([LINES], float("-inf"), gl.float32, gl.SliceLayout(1, s_layout))
    peak, found = _weigh(scores, peak, factor, 0, position_of_query, True)
    total = gl.sum(found, 1)
    weights = gl.convert_layout(found.to(q_tile.dtype), gl.DotOperandLayout(0, o_layout, 2))
    o = gl.zeros([LINES, HEAD], gl.float32, o_layout)
    # All queries see all keys of the tiles before `full`.
    num_tiles = gl.cdiv(high, TILE)
    full = gl.minimum(gl.maximum((context + first_query + 1) // TILE, 1), num_tiles)
    o, peak, total, weights = _attend_tiles(
        o, peak, total, weights, q_tile, key_tiles, value_tiles, key_ready, value_ready, key_free, value_free, 1, full, factor,
        position_of_query, TILE, STAGES, False,
    )  # fmt: skip
    o, peak, total, weights = _attend_tiles(
        o, peak, total, weights, q_tile, key_tiles, value_tiles, key_ready, value_ready, key_free, value_free, full, num_tiles,
        factor, position_of_query, TILE, STAGES, True,
    )  # fmt: skip
    last = num_tiles - 1
    mbarrier.wait(value_ready.index(last % STAGES), last // STAGES & 1)
    o = warpgroup_mma(weights, value_tiles.index(last % STAGES), o, is_async=True)
    o, weights = warpgroup_mma_wait(0, deps=[o, weights])
    o = o / gl.convert_layout(total, gl.SliceLayout(1, o_layout))[:, None]
    # Through shared memory, so that a thread writes 16 bytes at once.
    gl.thread_barrier()
    q_tile.store(o.to(q_tile.dtype))
    gl.thread_barrier()
    target = token[:, None] * o_stride + head[:, None] * HEAD + element[None, :]
    gl.store(o_ptr + target, q_tile.load(stored), mask=inside)


@gluon.jit(do_not_specialize=["num_rows", "least", "blocks_stride"])
def prefill_hopper(
    q_ptr, key_boxes, value_boxes, o_ptr, starts_ptr, lengths_ptr, blocks_ptr, scale, num_rows, least, q_stride,
    q_head_stride, o_stride, blocks_stride, GROUP: gl.constexpr, HEAD: gl.constexpr, LINES: gl.constexpr, TILE: gl.constexpr,
    BOX: gl.constexpr, BLOCK_SIZE: gl.constexpr, STAGES: gl.constexpr, DEPENDENT: gl.constexpr,
    num_warps: gl.constexpr,
):  # fmt: skip
    """Attend to twice LINES lines of one row: queries times the GROUP heads of a kv head. A box is BOX slots of one block.

    Rows with fewer than `least` queries are left out.
    """
    begin(DEPENDENT)
    QUERIES: gl.constexpr = LINES // GROUP
    # The heads run side by side. The tiles with the most keys are the last ones of a row, so they start first.
    kv_head, tile = gl.program_id(0), gl.num_programs(1) - 1 - gl.program_id(1)
    wait_for_inputs(DEPENDENT)
    row = row_of_tile(starts_ptr, num_rows, tile, 2 * QUERIES)
    start_of_row = gl.load(starts_ptr + row)
    num_queries = gl.load(starts_ptr + row + 1) - start_of_row
    first_query = (tile - (start_of_row // (2 * QUERIES) + row)) * (2 * QUERIES)
    if (first_query >= num_queries) | (num_queries < least):
        return
    length = gl.load(lengths_ptr + row)
    context = length - num_queries  # tokens before the queries of this step
    high = context + gl.minimum(first_query + 2 * QUERIES, num_queries)
    table = blocks_ptr + row.to(gl.int64) * blocks_stride
    dtype: gl.constexpr = q_ptr.dtype.element_ty
    q_tiles = gl.allocate_shared_memory(dtype, [2, LINES, HEAD], BOXES)
    count: gl.constexpr = STAGES * (HEAD // 64) * (TILE // BOX)
    keys = gl.allocate_shared_memory(dtype, [count, BOX, 64], BOXES)
    values = gl.allocate_shared_memory(dtype, [count, BOX, 64], BOXES)
    key_ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    value_ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    key_free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    value_free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    patched = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(STAGES):
        mbarrier.init(key_ready.index(slot), count=1)
        mbarrier.init(value_ready.index(slot), count=1)
        mbarrier.init(key_free.index(slot), count=2)
        mbarrier.init(value_free.index(slot), count=2)
    mbarrier.init(patched, count=1)
    factor = scale * 1.4426950408889634  # log2(e)
    lines = (
        q_ptr, o_ptr, keys, values, key_ready, value_ready, key_free, value_free, start_of_row, num_queries, context, high,
        kv_head, factor, q_stride, q_head_stride, o_stride,
    )  # fmt: skip
    copies = (
        key_boxes, value_boxes, keys, values, key_ready, value_ready, key_free, value_free, patched, table, length, high,
    )  # fmt: skip
    # Triton unpacks no tuples here, and constants stay constants only in the left part of a sum.
    gl.warp_specialize(
        [
            (_attend, (GROUP, HEAD, QUERIES, LINES, TILE, STAGES, q_tiles.index(0), first_query) + lines),  # noqa: RUF005
            (_attend, (GROUP, HEAD, QUERIES, LINES, TILE, STAGES, q_tiles.index(1), first_query + QUERIES) + lines),  # noqa: RUF005
            (_copy, (BOX, BLOCK_SIZE, TILE, HEAD, STAGES, kv_head * HEAD) + copies),  # noqa: RUF005
        ],
        [4, 1], [232, 40],
    )  # fmt: skip
