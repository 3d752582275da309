"""Several tokens times a plain matrix on Hopper: the copy engine fills a ring of shared memory, wgmma multiplies from it.

Weights are the first operand, 64 rows a group of warps, and tokens the second, so few tokens waste nothing. The ring is filled with
weights before the kernel waits for the one before it, so their way from memory is hidden. Written in Gluon.
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

from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, wait_for_inputs


@gluon.jit
def _ask_weights(boxes, tiles, arrived, slot, step, count, first, group, BYTES: gl.constexpr, HALVES: gl.constexpr):  # fmt: skip
    """Send for the weights of a step, and expect BYTES of weights and inputs."""
    mbarrier.expect(arrived.index(slot), BYTES, step < count)
    place = [(first + step) * HALVES, group, 0, 0, 0]
    tma.async_copy_global_to_shared(
        boxes, place, arrived.index(slot), tiles.index(slot), step < count
    )


@gluon.jit
def _ask_inputs(boxes, tiles, arrived, slot, step, count, first, token, HALVES: gl.constexpr):
    """Send for the inputs of a step."""
    place = [(first + step) * HALVES, token, 0]
    tma.async_copy_global_to_shared(
        boxes, place, arrived.index(slot), tiles.index(slot), step < count
    )


@gluon.jit(do_not_specialize=["num_steps", "num_tokens", "num_splits"])
def multiply(
    weight_boxes, input_boxes, row_scale_ptr, token_scale_ptr, bias_ptr, y_ptr, parts_ptr, counters_ptr,
    num_steps, num_tokens, num_outputs, num_splits, y_stride,
    SCALED: gl.constexpr, ACTIVATION: gl.constexpr, BIAS: gl.constexpr, ADD: gl.constexpr, TOKENS: gl.constexpr,
    ROWS: gl.constexpr, QUEUE: gl.constexpr, APART: gl.constexpr, STAGES: gl.constexpr, HALVES: gl.constexpr,
    DEPENDENT: gl.constexpr, num_warps: gl.constexpr,
):  # fmt: skip
    """ROWS rows of the matrix times TOKENS tokens, summed over one of `num_splits` parts of the steps.

    A step is HALVES lines of 128 bytes of each row. Weights come as [lines, rows / 16, 2, 8, line]: with a gate the third axis is
    gate and up, so that one thread holds both. SCALED: rows and tokens have factors. APART: `y_ptr` takes each part, in float32.
    """
    dtype: gl.constexpr = weight_boxes.dtype
    BITS: gl.constexpr = dtype.primitive_bitwidth
    WIDTH: gl.constexpr = 1024 // BITS
    sums: gl.constexpr = gl.NVMMADistributedLayout(
        version=[3, 0], warps_per_cta=[num_warps, 1], instr_shape=[16, TOKENS, 256 // BITS]
    )
    operand: gl.constexpr = gl.NVMMASharedLayout(128, BITS, 2)
    BYTES: gl.constexpr = (ROWS + TOKENS) * 128 * HALVES  # of a step
    GATED: gl.constexpr = ACTIVATION != ""
    OUTPUTS: gl.constexpr = ROWS // 2 if GATED else ROWS
    begin(DEPENDENT)
    tile, split, token_tile = gl.program_id(0), gl.program_id(1), gl.program_id(2)
    steps = gl.cdiv(num_steps, num_splits)
    first = split * steps
    count = gl.minimum(num_steps - first, steps)  # a last part may have none
    group, first_token = tile * (ROWS // 16), token_tile * TOKENS
    weight_tiles = gl.allocate_shared_memory(dtype, [STAGES, HALVES, ROWS // 16, 2, 8, WIDTH], weight_boxes.layout)  # fmt: skip
    input_tiles = gl.allocate_shared_memory(
        dtype, [STAGES, HALVES, TOKENS, WIDTH], input_boxes.layout
    )
    weights = weight_tiles._reinterpret(dtype, [STAGES * HALVES, ROWS, WIDTH], operand)
    inputs = input_tiles._reinterpret(dtype, [STAGES * HALVES, TOKENS, WIDTH], operand)
    arrived = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for stage in gl.static_range(STAGES):
        mbarrier.init(arrived.index(stage), count=1)
    fence_async_shared()
    for stage in gl.static_range(STAGES):
        _ask_weights(weight_boxes, weight_tiles, arrived, stage, stage, count, first, group, BYTES, HALVES)  # fmt: skip
    wait_for_inputs(DEPENDENT)
    for stage in gl.static_range(STAGES):
        _ask_inputs(input_boxes, input_tiles, arrived, stage, stage, count, first, first_token, HALVES)  # fmt: skip
    total = gl.zeros([ROWS, TOKENS], gl.float32, sums)
    for step in range(count):
        slot = step % STAGES
        mbarrier.wait(arrived.index(slot), step // STAGES & 1)
        for half in gl.static_range(HALVES):
            total = warpgroup_mma(
                weights.index(slot * HALVES + half), inputs.index(slot * HALVES + half).permute((1, 0)), total, is_async=True
            )  # fmt: skip
        total = warpgroup_mma_wait(HALVES, deps=[total])
        asked = step + (STAGES - 1)
        if (step > 0) & (asked < count):
            gl.thread_barrier()  # all products of the last step have ended, so its slot is free
            free = (step + (STAGES - 1)) % STAGES
            _ask_weights(weight_boxes, weight_tiles, arrived, free, asked, count, first, group, BYTES, HALVES)  # fmt: skip
            _ask_inputs(input_boxes, input_tiles, arrived, free, asked, count, first, first_token, HALVES)  # fmt: skip
    total = warpgroup_mma_wait(0, deps=[total])
    is_last = True
    if QUEUE:
        # Store this part, then count it in the queue. The program that comes last adds all parts.
        line = gl.arange(0, ROWS, gl.SliceLayout(1, sums))[:, None] * TOKENS
        place = line + gl.arange(0, TOKENS, gl.SliceLayout(0, sums))[None, :]
        queue = token_tile * gl.num_programs(0) + tile
        parts = parts_ptr + queue * num_splits * (TOKENS * ROWS) + place
        gl.store(parts + split * (TOKENS * ROWS), total)
        gl.thread_barrier()
        arrival = gl.atomic_add(counters_ptr + queue, 1, sem="acq_rel", scope="gpu")
        gl.thread_barrier()
        is_last = arrival == num_splits - 1
        if is_last:
            gl.store(counters_ptr + queue, 0)
            total = gl.zeros([ROWS, TOKENS], gl.float32, sums)
            for other in range(num_splits):
                total += gl.load(parts + other * (TOKENS * ROWS), cache_modifier=".cg")
    if is_last:
        y = total
        if SCALED:
            of_row = gl.arange(0, ROWS, gl.SliceLayout(1, sums))
            if GATED:
                row = gl.minimum(tile * OUTPUTS + of_row // 16 * 8 + of_row % 8, num_outputs - 1)
                row += of_row % 16 // 8 * num_outputs
            else:
                row = gl.minimum(tile * OUTPUTS + of_row, num_outputs - 1)
            of_token = gl.minimum(
                first_token + gl.arange(0, TOKENS, gl.SliceLayout(0, sums)), num_tokens - 1
            )
            y *= (
                gl.load(row_scale_ptr + row)[:, None] * gl.load(token_scale_ptr + of_token)[None, :]
            )
        if BIAS:
            row_of_bias = gl.minimum(tile * ROWS + gl.arange(0, ROWS, gl.SliceLayout(1, sums)), num_outputs - 1)  # fmt: skip
            bias = gl.load(bias_ptr + row_of_bias).to(gl.float32)
            y += gl.where(split == 0, bias, 0.0)[:, None] if APART else bias[:, None]
        if GATED:
            gate, up = gl.split(y.reshape([ROWS // 16, 2, 8, TOKENS]).permute([0, 2, 3, 1]))
            y = (activate(gate, ACTIVATION) * up).reshape([OUTPUTS, TOKENS])
        each: gl.constexpr = 4 if APART else 8  # outputs of a thread, 16 bytes
        stored: gl.constexpr = gl.BlockedLayout([each, 1], [64 // each, each // 2], [1, num_warps], [0, 1])  # fmt: skip
        y_start = y_ptr
        if APART:
            y_start += split * num_tokens * y_stride
        y = gl.convert_layout(y.to(y_ptr.dtype.element_ty), stored)
        output = tile * OUTPUTS + gl.arange(0, OUTPUTS, gl.SliceLayout(1, stored))
        token = first_token + gl.arange(0, TOKENS, gl.SliceLayout(0, stored))
        inside = (output < num_outputs)[:, None] & (token < num_tokens)[None, :]
        target = y_start + token[None, :] * y_stride + output[:, None]
        if ADD:
            y = (y.to(gl.float32) + gl.load(target, mask=inside, other=0.0).to(gl.float32)).to(y_ptr.dtype.element_ty)  # fmt: skip
        gl.store(target, y, mask=inside)
