"""A few tokens times a compact matrix: codes are decoded in registers, and tensor cores multiply them exactly.

Outputs lie along the rows of the product, because Hopper's tensor cores take their first operand from registers. The
sums of a group are scaled, not its weights: the factors are whole numbers or entries of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.decoding import decode, form_of, tensors_of
from jackfield_torch.chip import has_large_memory, shared_memory
from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs
from jackfield_torch.kernels.scratch import Scratch

_LEAST_TOKENS, MOST_TOKENS = 32, 128  # tokens of a tile; 16 were slower than 32


@dataclass(frozen=True, slots=True)
class FewTile:
    """Outputs of a program, parts that the blocks are divided into, warps, steps in flight."""

    outputs: int = 64
    splits: int = 1
    warps: int = 4
    stages: int = 3


@triton.jit
def _block_sums(
    total, words, x, scales_ptr, zeros_ptr, table_ptr, row, block, num_rows, num_inputs,
    KIND: tl.constexpr, BITS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, ZERO: tl.constexpr,
    HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """`total` [OUTPUTS, TOKENS] with the products of one block added, scaled if there are groups."""
    codes: tl.constexpr = 32 // BITS
    lane = tl.arange(0, WIDTH)
    part = tl.zeros_like(total)
    for place in tl.static_range(codes):
        first = (block * codes + place) * WIDTH
        if EVEN:
            inputs = tl.load(x + first)
        else:
            inputs = tl.load(x + first, mask=(first + lane < num_inputs)[:, None], other=0.0)
        group = 0
        if GROUP != 0:
            group = first // GROUP
        if HAS_ZEROS:
            weight = decode(words, place, table_ptr, row[:, None], KIND, BITS, 0)
            weight -= tl.load(zeros_ptr + group * num_rows + row).to(tl.float32)[:, None]
        else:
            weight = decode(words, place, table_ptr, row[:, None], KIND, BITS, ZERO)
        weight = weight.to(inputs.dtype)
        if GROUP == 0:
            total = tl.dot(weight, inputs, total, input_precision="ieee")
        else:
            part = tl.dot(weight, inputs, part, input_precision="ieee")
            if place == codes - 1 or (place + 1) * WIDTH % GROUP == 0:
                scale = tl.load(scales_ptr + group * num_rows + row).to(tl.float32)
                total += part * scale[:, None]
                part = tl.zeros_like(total)
    return total


@triton.jit
def _few(
    words_ptr, scales_ptr, zeros_ptr, table_ptr, x_ptr, bias_ptr, y_ptr, parts_ptr, counters_ptr,
    num_words, num_rows, num_tokens, num_outputs, num_inputs, x_stride, y_stride,
    KIND: tl.constexpr, BITS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, ZERO: tl.constexpr,
    HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, ACTIVATION: tl.constexpr, BIAS: tl.constexpr, ADD: tl.constexpr,
    TOKENS: tl.constexpr, OUTPUTS: tl.constexpr, SPLITS: tl.constexpr, STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """OUTPUTS outputs of TOKENS tokens, summed over one of SPLITS parts of the blocks."""
    begin(DEPENDENT)
    tile, split, token_tile = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    output = tile * OUTPUTS + tl.arange(0, OUTPUTS)
    token = token_tile * TOKENS + tl.arange(0, TOKENS)
    lane = tl.arange(0, WIDTH)
    # Programs also read for rows and tokens outside: the last row or token, whose results they never store.
    row = tl.minimum(output, num_outputs - 1)
    safe_token = tl.minimum(token, num_tokens - 1).to(tl.int64)
    words = words_ptr + row.to(tl.int64)[:, None] * num_words + lane[None, :]
    up_distance = num_outputs.to(tl.int64) * num_words
    x = x_ptr + safe_token[None, :] * x_stride + lane[:, None]
    num_blocks = num_words // WIDTH
    blocks = tl.cdiv(num_blocks, SPLITS)
    first, last = split * blocks, tl.minimum((split + 1) * blocks, num_blocks)
    total = tl.zeros([OUTPUTS, TOKENS], tl.float32)
    if ACTIVATION != "":
        up_total = tl.zeros([OUTPUTS, TOKENS], tl.float32)
    wait_for_inputs(DEPENDENT)
    for block in tl.range(first, last, num_stages=STAGES):
        total = _block_sums(
            total, tl.load(words + block * WIDTH), x, scales_ptr, zeros_ptr, table_ptr, row, block, num_rows,
            num_inputs, KIND, BITS, WIDTH, GROUP, ZERO, HAS_ZEROS, EVEN,
        )  # fmt: skip
        if ACTIVATION != "":
            up_total = _block_sums(
                up_total, tl.load(words + up_distance + block * WIDTH), x, scales_ptr, zeros_ptr, table_ptr,
                row + num_outputs, block, num_rows, num_inputs, KIND, BITS, WIDTH, GROUP, ZERO, HAS_ZEROS, EVEN,
            )  # fmt: skip
    is_last = True
    if SPLITS > 1:
        # Store this part, then count it in the queue. The program that comes last adds all parts.
        place = tl.arange(0, OUTPUTS)[:, None] * TOKENS + tl.arange(0, TOKENS)[None, :]
        queue = token_tile * tl.num_programs(0) + tile
        parts = parts_ptr + queue.to(tl.int64) * (SPLITS * TOKENS * OUTPUTS) + place
        tl.store(parts + split * (TOKENS * OUTPUTS), total)
        tl.debug_barrier()
        arrived = tl.atomic_add(counters_ptr + queue, 1, sem="acq_rel", scope="gpu")
        tl.debug_barrier()
        is_last = arrived == SPLITS - 1
        if is_last:
            tl.store(counters_ptr + queue, 0)
            total = tl.zeros([OUTPUTS, TOKENS], tl.float32)
            for part in tl.static_range(SPLITS):
                total += tl.load(parts + part * (TOKENS * OUTPUTS), cache_modifier=".cg")
    if is_last:
        y = total
        if GROUP == 0:
            y *= tl.load(scales_ptr + row).to(tl.float32)[:, None]
        if BIAS:
            y += tl.load(bias_ptr + row).to(tl.float32)[:, None]
        if ACTIVATION != "":
            if GROUP == 0:
                up_total *= tl.load(scales_ptr + num_outputs + row).to(tl.float32)[:, None]
            y = activate(y, ACTIVATION) * up_total
        is_output = (output < num_outputs)[:, None] & (token < num_tokens)[None, :]
        target = y_ptr + token.to(tl.int64)[None, :] * y_stride + output[:, None]
        if ADD:
            y = y.to(y_ptr.dtype.element_ty).to(tl.float32)
            y += tl.load(target, mask=is_output, other=0.0).to(tl.float32)
        tl.store(target, y.to(y_ptr.dtype.element_ty), mask=is_output)


def multiply_few(
    x_TI: Tensor,
    blocks: Blocks,
    tile: FewTile,
    scratch: Scratch | None = None,
    *,
    activation: str = "",
    bias_O: Tensor | None = None,
    into_TO: Tensor | None = None,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x, in x's dtype; sums in float32.

    With an activation the matrix holds the gate's rows and then as many rows of up, and blocks are not split.
    `into_TO` is added to in place and returned. x must be contiguous in I and in the order of the blocks.
    """
    num_tokens = len(x_TI)
    num_outputs = blocks.num_outputs // (2 if activation else 1)
    y_TO = into_TO
    if y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=x_TI.dtype, device=x_TI.device)
    tokens = min(MOST_TOKENS, max(_LEAST_TOKENS, next_power_of_two(num_tokens)))
    grid = (triton.cdiv(num_outputs, tile.outputs), tile.splits, triton.cdiv(num_tokens, tokens))
    parts, counters = (x_TI, x_TI) if scratch is None else (scratch.parts, scratch.counters)
    if tile.splits > 1:
        assert scratch is not None, "parts meet in a scratch"
        assert not activation, "both halves of a gate are whole"
        num_programs = grid[0] * grid[1] * grid[2]
        assert scratch.holds(num_programs, tokens * tile.outputs), f"{tile} has too many parts"
    _few[grid](
        *tensors_of(blocks), x_TI, x_TI if bias_O is None else bias_O, y_TO, parts, counters,
        blocks.words_OW.shape[1], blocks.num_outputs, num_tokens, num_outputs, blocks.num_inputs,
        x_TI.stride(0), y_TO.stride(0),
        **form_of(blocks), ACTIVATION=activation, BIAS=bias_O is not None, ADD=into_TO is not None,
        TOKENS=tokens, OUTPUTS=tile.outputs, SPLITS=tile.splits, STAGES=stages_of(tile, blocks, tokens, x_TI, bool(activation)), num_warps=tile.warps,
        **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO


def stages_of(tile: FewTile, blocks: Blocks, tokens: int, x_TI: Tensor, gated: bool) -> int:
    """Steps in flight that shared memory holds: all but one keep a block of words, and its inputs of all tokens.

    Products of Hopper also read the inputs of the last one there.
    """
    device = x_TI.device
    if (memory := shared_memory(device)) is None:
        return tile.stages
    inputs = blocks.codes_of_word * blocks.width * tokens * x_TI.itemsize
    words = (2 if gated else 1) * tile.outputs * blocks.width * blocks.words_OW.itemsize
    if has_large_memory(device):
        memory -= inputs
    return min(tile.stages, 1 + max(0, memory) // (inputs + words))
