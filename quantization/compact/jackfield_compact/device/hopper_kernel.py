"""Several tokens times four-bit codes on Hopper: codes are decoded in registers, beside the products of the codes before.

The matrix is the first operand of each product, since tensor cores take that one from registers. The copy engine brings the inputs.
Written in Gluon, Triton's language with explicit layouts and waits. CUTLASS's products of mixed inputs work the same way.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, wait_for_inputs

# Of the inputs in shared memory: boxes of 32 inputs, tokens, and 32 inputs each.
BOXES = gl.NVMMASharedLayout(swizzle_byte_width=64, element_bitwidth=16, rank=3)


@gluon.jit
def _halves(words):
    """Low and high 16 bits of each word, four codes each; pairs of neighbours in one register."""
    return gl.inline_asm_elementwise(
        "prmt.b32 $0, $2, $3, 0x5410; prmt.b32 $1, $2, $3, 0x7632;",
        "=&r,=&r,r,r", [words], dtype=(gl.int16, gl.int16), is_pure=True, pack=2,
    )  # fmt: skip


@gluon.jit
def _numbers(half):
    """bfloat16, 128 plus each of four codes: the bits of the code behind those of 128."""
    return gl.inline_asm_elementwise(
        """{
        .reg .b32 low;
        lop3.b32 $0, $4, 0x000f000f, 0x43004300, 0xea;
        shr.u32 low, $4, 4;
        lop3.b32 $1, low, 0x000f000f, 0x43004300, 0xea;
        shr.u32 low, $4, 8;
        lop3.b32 $2, low, 0x000f000f, 0x43004300, 0xea;
        shr.u32 low, $4, 12;
        lop3.b32 $3, low, 0x000f000f, 0x43004300, 0xea;
        }""",
        "=&r,=&r,=&r,=r,r", [half], dtype=(gl.bfloat16,) * 4, is_pure=True, pack=2,
    )  # fmt: skip


@gluon.jit
def _shifted(number, offset):
    """number + offset of its row, which is exact for whole numbers."""
    offset = gl.broadcast(offset.to(gl.bfloat16)[:, None], number)[0]
    return gl.inline_asm_elementwise(
        "{ .reg .b32 one; mov.b32 one, 0x3f803f80; fma.rn.bf16x2 $0, $1, one, $2; }",
        "=r,r,r", [number, offset], dtype=gl.bfloat16, is_pure=True, pack=2,
    )  # fmt: skip


@gluon.jit
def _scaled(number, high, low):
    """number * (high + low) of its row, rounded once more than a product in float32."""
    high, low = gl.broadcast(high[:, None], number)[0], gl.broadcast(low[:, None], number)[0]
    return gl.inline_asm_elementwise(
        """{
        .reg .b32 rest, none;
        mov.b32 none, 0x80008000;
        fma.rn.bf16x2 rest, $1, $3, none;
        fma.rn.bf16x2 $0, $1, $2, rest;
        }""",
        "=r,r,r,r", [number, high, low], dtype=gl.bfloat16, is_pure=True, pack=2,
    )  # fmt: skip


@gluon.jit
def _sum_of_group(
    number, operands, first, offset, ROWS: gl.constexpr, TOKENS: gl.constexpr, sums: gl.constexpr
):  # fmt: skip
    """Sums of codes less their zero times the inputs of four tiles from `first` on."""
    weights = (
        _shifted(number[0], offset), _shifted(number[1], offset), _shifted(number[2], offset),
        _shifted(number[3], offset),
    )  # fmt: skip
    total = gl.zeros([ROWS, TOKENS], gl.float32, sums)
    for place in gl.static_range(4):
        inputs = operands.index(first + place).permute((1, 0))
        total = warpgroup_mma(weights[place], inputs, total, use_acc=place > 0, is_async=True)
    # Weights stay in their registers until the products end.
    total, _, _, _, _ = warpgroup_mma_wait(
        0, deps=[total, weights[0], weights[1], weights[2], weights[3]]
    )
    return total


@gluon.jit
def _row_of(line, first, num_outputs, GATED: gl.constexpr):
    """The matrix's row of each line. With a gate, lines l and l + 8 of 16 are a gate and its up: one thread holds both."""
    if GATED:
        row = gl.minimum(first + line // 16 * 8 + line % 8, num_outputs - 1)
        row += line % 16 // 8 * num_outputs
    else:
        row = gl.minimum(first + line, num_outputs - 1)
    return row


@gluon.jit
def _ask(
    x_boxes, tiles, arrived, stage, first, last, token,
    TOKENS: gl.constexpr, STAGES: gl.constexpr, HALVES: gl.constexpr,
):  # fmt: skip
    """Send for the inputs of a stage: HALVES halves of a block, four tiles of 32 inputs each."""
    slot = (stage - first) % STAGES
    mbarrier.expect(arrived.index(slot), TOKENS * 256 * HALVES, stage < last)
    tma.async_copy_global_to_shared(
        x_boxes, [stage * (4 * HALVES), token, 0], arrived.index(slot), tiles.index(slot), stage < last
    )  # fmt: skip


@gluon.jit
def _factors(scales_ptr, half, num_rows, row, GROUP: gl.constexpr):
    """The group's scale of each row."""
    return gl.load(scales_ptr + half * 128 // GROUP * num_rows + row)


@gluon.jit
def multiply(
    words_ptr, scales_ptr, zeros_ptr, table_ptr, x_boxes, bias_ptr, y_ptr, parts_ptr, counters_ptr,
    num_words, num_rows, num_tokens, num_outputs, num_splits, y_stride,
    GROUP: gl.constexpr, ZERO: gl.constexpr, HAS_ZEROS: gl.constexpr, ACTIVATION: gl.constexpr,
    BIAS: gl.constexpr, ADD: gl.constexpr, TOKENS: gl.constexpr, ROWS: gl.constexpr,
    SPLIT: gl.constexpr, STAGES: gl.constexpr, HALVES: gl.constexpr, EXACT: gl.constexpr,
    DEPENDENT: gl.constexpr, num_warps: gl.constexpr,
):  # fmt: skip
    """ROWS rows of the matrix times TOKENS tokens, summed over one of `num_splits` parts of the blocks of 256 inputs.

    EXACT: products of whole numbers, whose sums of 128 inputs are scaled; for few tokens, since sums take registers twice.
    Otherwise weights are scaled before, and rounded. A half is 128 inputs of a block, a stage one or two halves.
    """
    sums: gl.constexpr = gl.NVMMADistributedLayout(
        version=[3, 0], warps_per_cta=[num_warps, 1], instr_shape=[16, TOKENS, 16]
    )
    weights: gl.constexpr = gl.DotOperandLayout(0, sums, 2)
    of_row: gl.constexpr = gl.SliceLayout(1, weights)
    stored: gl.constexpr = gl.BlockedLayout([8, 1], [8, 4], [1, num_warps], [0, 1])
    GATED: gl.constexpr = ACTIVATION != ""
    OUTPUTS: gl.constexpr = ROWS // 2 if GATED else ROWS
    begin(DEPENDENT)
    tile, split, token_tile = gl.program_id(0), gl.program_id(1), gl.program_id(2)
    row = _row_of(gl.arange(0, ROWS, of_row), tile * OUTPUTS, num_outputs, GATED)
    lane = gl.arange(0, 32, gl.SliceLayout(0, weights))
    words_at = words_ptr + row[:, None] * num_words + lane[None, :]
    num_blocks = num_words // 32
    blocks = gl.cdiv(num_blocks, num_splits)
    first, last = split * blocks, gl.minimum((split + 1) * blocks, num_blocks)
    first_stage, last_stage = first * 2 // HALVES, last * 2 // HALVES
    tiles = gl.allocate_shared_memory(gl.bfloat16, [STAGES, 4 * HALVES, TOKENS, 32], x_boxes.layout)
    operand: gl.constexpr = gl.NVMMASharedLayout(64, 16, 2)
    operands = tiles._reinterpret(gl.bfloat16, [STAGES * 4 * HALVES, TOKENS, 32], operand)
    arrived = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for stage in gl.static_range(STAGES):
        mbarrier.init(arrived.index(stage), count=1)
    start = gl.minimum(first, num_blocks - 1)  # a last part may have no blocks
    next_words = gl.load(words_at + start * 32)
    scaled: gl.constexpr = gl.SliceLayout(1, sums) if EXACT else of_row
    scaled_row = _row_of(gl.arange(0, ROWS, scaled), tile * OUTPUTS, num_outputs, GATED)
    if GROUP != 0:
        next_scale = _factors(scales_ptr, 2 * start, num_rows, scaled_row, GROUP)
        if HAS_ZEROS:
            next_zero = _factors(zeros_ptr, 2 * start, num_rows, row, GROUP)
    offset = gl.full([ROWS], -128.0 - ZERO, gl.float32, of_row)
    if HAS_ZEROS and GROUP == 0:
        offset = -128.0 - gl.load(zeros_ptr + row).to(gl.float32)
    first_token = token_tile * TOKENS
    wait_for_inputs(DEPENDENT)
    for stage in gl.static_range(STAGES):
        _ask(x_boxes, tiles, arrived, first_stage + stage, first_stage, last_stage, first_token, TOKENS, STAGES, HALVES)  # fmt: skip
    total = gl.zeros([ROWS, TOKENS], gl.float32, sums)
    before = gl.zeros([ROWS, 32], gl.bfloat16, weights)
    for block in range(first, last):
        low_half, high_half = _halves(next_words)
        following_words = words_at + gl.minimum(block + 1, last - 1) * 32
        if TOKENS <= 64:
            next_words = gl.load(following_words)
        for part in gl.static_range(2):
            if TOKENS > 64 and part == 1:  # later, since the sums leave few registers
                next_words = gl.load(following_words)
            number = _numbers(high_half if part == 1 else low_half)
            if GROUP != 0:
                following = gl.minimum(2 * block + part + 1, 2 * last - 1)
                scale = next_scale.to(gl.float32)
                next_scale = _factors(scales_ptr, following, num_rows, scaled_row, GROUP)
                if HAS_ZEROS:
                    offset = -128.0 - next_zero.to(gl.float32)
                    next_zero = _factors(zeros_ptr, following, num_rows, row, GROUP)
            step = (2 * block + part) // HALVES - first_stage
            slot = part if HALVES == 1 and STAGES == 2 else step % STAGES
            if HALVES == 1 or part == 0:
                mbarrier.wait(arrived.index(slot), step // STAGES & 1)
            if EXACT and (HALVES == 1 or part == 0):
                gl.thread_barrier()  # all products of the last stage have ended, so its slot is free
                if step > 0:
                    _ask(x_boxes, tiles, arrived, first_stage + step + STAGES - 1, first_stage, last_stage, first_token, TOKENS, STAGES, HALVES)  # fmt: skip
            inputs = (slot * HALVES + (part if HALVES == 2 else 0)) * 4
            if EXACT:
                group = _sum_of_group(number, operands, inputs, offset, ROWS, TOKENS, sums)
                total += group * scale[:, None] if GROUP != 0 else group
            else:
                if GROUP != 0:
                    high = scale.to(gl.bfloat16)
                    low = (scale - high.to(gl.float32)).to(gl.bfloat16)
                for place in gl.static_range(4):
                    weight = _shifted(number[place], offset)
                    if GROUP != 0:
                        weight = _scaled(weight, high, low)
                    total = warpgroup_mma(
                        weight, operands.index(inputs + place).permute((1, 0)), total, is_async=True
                    )
                    # One product stays in flight: it reads its weights from registers until it ends.
                    total, before = warpgroup_mma_wait(1, deps=[total, before])
                    before = weight
                    if place == 0 and (HALVES == 1 or part == 0):
                        gl.thread_barrier()  # as above
                        if step > 0:
                            _ask(x_boxes, tiles, arrived, first_stage + step + STAGES - 1, first_stage, last_stage, first_token, TOKENS, STAGES, HALVES)  # fmt: skip
    if not EXACT:
        total, before = warpgroup_mma_wait(0, deps=[total, before])
    is_last = True
    if SPLIT:
        # Store this part, then count it in the queue. The program that comes last adds all parts.
        line = gl.arange(0, ROWS, gl.SliceLayout(1, sums))[:, None] * TOKENS
        place_of = line + gl.arange(0, TOKENS, gl.SliceLayout(0, sums))[None, :]
        queue = token_tile * gl.num_programs(0) + tile
        parts = parts_ptr + queue * num_splits * (TOKENS * ROWS) + place_of
        gl.store(parts + split * (TOKENS * ROWS), total)
        gl.thread_barrier()
        count = gl.atomic_add(counters_ptr + queue, 1, sem="acq_rel", scope="gpu")
        gl.thread_barrier()
        is_last = count == num_splits - 1
        if is_last:
            gl.store(counters_ptr + queue, 0)
            total = gl.zeros([ROWS, TOKENS], gl.float32, sums)
            for other in range(num_splits):
                total += gl.load(parts + other * (TOKENS * ROWS), cache_modifier=".cg")
    if is_last:
        y = total
        row_of_sum = _row_of(gl.arange(0, ROWS, gl.SliceLayout(1, sums)), tile * OUTPUTS, num_outputs, GATED)  # fmt: skip
        if GROUP == 0:
            y *= gl.load(scales_ptr + row_of_sum).to(gl.float32)[:, None]
        if BIAS:
            y += gl.load(bias_ptr + row_of_sum).to(gl.float32)[:, None]
        if GATED:
            gate, up = gl.split(y.reshape([ROWS // 16, 2, 8, TOKENS]).permute([0, 2, 3, 1]))
            y = (activate(gate, ACTIVATION) * up).reshape([OUTPUTS, TOKENS])
        y = gl.convert_layout(y.to(gl.bfloat16), stored)
        output = tile * OUTPUTS + gl.arange(0, OUTPUTS, gl.SliceLayout(1, stored))
        token = first_token + gl.arange(0, TOKENS, gl.SliceLayout(0, stored))
        inside = (output < num_outputs)[:, None] & (token < num_tokens)[None, :]
        target = y_ptr + token[None, :] * y_stride + output[:, None]
        if ADD:
            y = (y.to(gl.float32) + gl.load(target, mask=inside, other=0.0).to(gl.float32)).to(gl.bfloat16)  # fmt: skip
        gl.store(target, y, mask=inside)
