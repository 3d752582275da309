"""One token times a compact matrix. Words are read once; the kernel computes in float32, with norm, gate and sum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.decoding import (
    form_of,
    scale_inputs,
    shifted,
    slope_of,
    tensors_of,
)
from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, launch_options, wait_for_inputs


@dataclass(frozen=True, slots=True)
class VectorTile:
    """Outputs and words that a program holds at once, its warps, and its steps in flight."""

    outputs: int
    words: int
    warps: int = 4
    stages: int = 3


@triton.jit
def _sums(
    total, words, x_ptr, norm_ptr, scales_ptr, zeros_ptr, table_ptr, row, first_block, num_rows, num_inputs, num_groups,
    NORM: tl.constexpr, KIND: tl.constexpr, BITS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr,
    ZERO: tl.constexpr, HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, SLOPE: tl.constexpr,
    BLOCKS: tl.constexpr,
):  # fmt: skip
    """`total` [BLOCKS, OUTPUTS, WIDTH] with these words added, scaled."""
    codes: tl.constexpr = 32 // BITS
    block = first_block + tl.arange(0, BLOCKS)
    lane = tl.arange(0, WIDTH)
    part = tl.zeros_like(total)
    x_sum = tl.zeros([BLOCKS, WIDTH], tl.float32)
    for place in tl.static_range(codes):
        start = block * (WIDTH * codes) + place * WIDTH
        column = start[:, None] + lane[None, :]
        if EVEN:
            inside = (start < num_inputs)[:, None]
        else:
            inside = column < num_inputs
        x = tl.load(x_ptr + column, mask=inside, other=0.0).to(tl.float32)
        if NORM:
            x = x * tl.load(norm_ptr + column, mask=inside, other=0.0)
        x_sum += x
        x = scale_inputs(x, place, KIND, BITS)
        part += shifted(words, place, table_ptr, row, KIND, BITS) * x[:, None, :]
        ends = place == codes - 1
        if GROUP != 0:
            ends = ends or (place + 1) * WIDTH % GROUP == 0
        if ends:
            if GROUP == 0:
                if HAS_ZEROS:
                    zeros = tl.load(zeros_ptr + row).to(tl.float32)[None, :, None]
                    part -= zeros / SLOPE * x_sum[:, None, :]
                elif ZERO != 0:
                    part -= ZERO / SLOPE * x_sum[:, None, :]
                total += part
            else:
                group = tl.minimum(start // GROUP, num_groups - 1)
                at = group.to(tl.int64)[:, None] * num_rows + row[None, :]
                if HAS_ZEROS:
                    zeros = tl.load(zeros_ptr + at).to(tl.float32)[:, :, None]
                    part -= zeros / SLOPE * x_sum[:, None, :]
                elif ZERO != 0:
                    part -= ZERO / SLOPE * x_sum[:, None, :]
                total += part * (SLOPE * tl.load(scales_ptr + at).to(tl.float32))[:, :, None]
            part = tl.zeros_like(total)
            x_sum = tl.zeros([BLOCKS, WIDTH], tl.float32)
    return total


@triton.jit
def _vector(
    words_ptr, scales_ptr, zeros_ptr, table_ptr, x_ptr, norm_ptr, bias_ptr, residual_ptr, y_ptr,
    num_words, num_rows, num_outputs, num_inputs, num_groups, epsilon, x_stride, residual_stride, y_stride,
    KIND: tl.constexpr, BITS: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr, ZERO: tl.constexpr,
    HAS_ZEROS: tl.constexpr, EVEN: tl.constexpr, SLOPE: tl.constexpr, NORM: tl.constexpr, ACTIVATION: tl.constexpr, BIAS: tl.constexpr,
    ADD: tl.constexpr, OUTPUTS: tl.constexpr, BLOCKS: tl.constexpr, SQUARES: tl.constexpr, STAGES: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """OUTPUTS outputs of one token. The first words are on their way before the input is ready."""
    begin(DEPENDENT)
    token = tl.program_id(1).to(tl.int64)
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    is_output = output < num_outputs
    row = tl.minimum(output, num_outputs - 1)
    block = tl.arange(0, BLOCKS)
    lane = block[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    num_blocks = num_words // WIDTH
    words = words_ptr + row.to(tl.int64)[None, :, None] * num_words + lane[:, None, :]
    up_distance = num_outputs.to(tl.int64) * num_words
    inside = (block < num_blocks)[:, None, None]
    first = tl.load(words, mask=inside, other=0)
    if ACTIVATION != "":
        first_up = tl.load(words + up_distance, mask=inside, other=0)
    wait_for_inputs(DEPENDENT)
    x = x_ptr + token * x_stride
    total = tl.zeros([BLOCKS, OUTPUTS, WIDTH], tl.float32)
    total = _sums(
        total, first, x, norm_ptr, scales_ptr, zeros_ptr, table_ptr, row, 0, num_rows, num_inputs, num_groups,
        NORM, KIND, BITS, WIDTH, GROUP, ZERO, HAS_ZEROS, EVEN, SLOPE, BLOCKS,
    )  # fmt: skip
    if ACTIVATION != "":
        up_total = tl.zeros([BLOCKS, OUTPUTS, WIDTH], tl.float32)
        up_total = _sums(
            up_total, first_up, x, norm_ptr, scales_ptr, zeros_ptr, table_ptr, row + num_outputs, 0, num_rows,
            num_inputs, num_groups, NORM, KIND, BITS, WIDTH, GROUP, ZERO, HAS_ZEROS, EVEN, SLOPE, BLOCKS,
        )  # fmt: skip
    for start in tl.range(BLOCKS, num_blocks, BLOCKS, num_stages=STAGES):
        inside = (start + block < num_blocks)[:, None, None]
        total = _sums(
            total, tl.load(words + start * WIDTH, mask=inside, other=0), x, norm_ptr, scales_ptr, zeros_ptr, table_ptr,
            row, start, num_rows, num_inputs, num_groups, NORM, KIND, BITS, WIDTH, GROUP, ZERO, HAS_ZEROS, EVEN, SLOPE, BLOCKS,
        )  # fmt: skip
        if ACTIVATION != "":
            up_total = _sums(
                up_total, tl.load(words + up_distance + start * WIDTH, mask=inside, other=0), x, norm_ptr, scales_ptr,
                zeros_ptr, table_ptr, row + num_outputs, start, num_rows, num_inputs, num_groups, NORM, KIND, BITS, WIDTH,
                GROUP, ZERO, HAS_ZEROS, EVEN, SLOPE, BLOCKS,
            )  # fmt: skip
    y = tl.sum(tl.sum(total, 2), 0)
    if GROUP == 0:
        y *= SLOPE * tl.load(scales_ptr + row).to(tl.float32)
    if NORM:
        element = tl.arange(0, SQUARES)
        whole = tl.load(x + element, mask=element < num_inputs, other=0.0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(whole * whole, 0) / num_inputs + epsilon)
        y *= scale
    if BIAS:
        y += tl.load(bias_ptr + row).to(tl.float32)
    if ACTIVATION != "":
        up = tl.sum(tl.sum(up_total, 2), 0)
        if GROUP == 0:
            up *= SLOPE * tl.load(scales_ptr + num_outputs + row).to(tl.float32)
        if NORM:
            up *= scale
        y = activate(y, ACTIVATION) * up
    y = y.to(y_ptr.dtype.element_ty)
    if ADD:
        old = tl.load(residual_ptr + token * residual_stride + row).to(tl.float32)
        y = (old + y.to(tl.float32)).to(y_ptr.dtype.element_ty)
    tl.store(y_ptr + token * y_stride + output, y, mask=is_output)


def multiply_vector(
    x_TI: Tensor,
    blocks: Blocks,
    tile: VectorTile,
    *,
    norm_I: Tensor | None = None,
    epsilon: float = 0.0,
    activation: str = "",
    bias_O: Tensor | None = None,
    into_TO: Tensor | None = None,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x, in x's dtype. If `norm_I` is given, x is replaced by its RMS norm.

    One pass over the words for each token. With an activation the matrix holds the gate's rows, followed by an equal
    number of up. `into_TO` is added to in place and returned. x must be contiguous in I and in the order of the
    blocks.
    """
    num_tokens = len(x_TI)
    num_outputs = blocks.num_outputs // (2 if activation else 1)
    y_TO = into_TO
    if y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=x_TI.dtype, device=x_TI.device)
    num_blocks = blocks.words_OW.shape[1] // blocks.width
    at_once = max(1, min(tile.words // blocks.width, triton.next_power_of_2(num_blocks)))
    _vector[(triton.cdiv(num_outputs, tile.outputs), num_tokens)](
        *tensors_of(blocks), x_TI, x_TI if norm_I is None else norm_I, x_TI if bias_O is None else bias_O, y_TO, y_TO,
        blocks.words_OW.shape[1], blocks.num_outputs, num_outputs, blocks.num_inputs, len(blocks.scales_GO), epsilon,
        x_TI.stride(0), y_TO.stride(0), y_TO.stride(0),
        **form_of(blocks), SLOPE=slope_of(blocks.kind), NORM=norm_I is not None, ACTIVATION=activation, BIAS=bias_O is not None,
        ADD=into_TO is not None, OUTPUTS=tile.outputs, BLOCKS=at_once,
        SQUARES=triton.next_power_of_2(blocks.num_inputs), STAGES=tile.stages, num_warps=tile.warps,
        **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO
