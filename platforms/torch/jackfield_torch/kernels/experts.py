"""A matrix product for all experts at once: tiles of rows that share an expert, for the experts that were chosen."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.launch import begin, launch_options, next_power_of_two, wait_for_inputs

_ROWS = 16  # rows of a tile: the fewest that tensor cores multiply
_MANY_ROWS = 64  # rows of a tile if experts have many rows each


@triton.jit
def _grouped(
    x_ptr, weight_ptr, bias_ptr, y_ptr, expert_ptr, end_ptr, num_rows, num_experts, size, num_outputs,
    x_stride, y_stride,
    SINGLE: tl.constexpr, BIAS: tl.constexpr, EXPERTS: tl.constexpr,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
    DEPENDENT: tl.constexpr,
):  # fmt: skip
    """One tile. Where tiles are SINGLE rows, rows come in any order; else those of an expert stand together."""
    begin(DEPENDENT)
    tile = tl.program_id(0)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    wait_for_inputs(DEPENDENT)
    if SINGLE:
        expert = tl.load(expert_ptr + tile).to(tl.int32)
        first = tile
        stop = tile + 1
    else:
        # Which expert the tile is of: as many have all their tiles before it.
        each = tl.arange(0, EXPERTS)
        ends = tl.load(end_ptr + 1 + each, mask=each < num_experts, other=0).to(tl.int32)
        starts = tl.load(end_ptr + each, mask=each < num_experts, other=0).to(tl.int32)
        tiles = tl.cumsum((ends - starts + ROWS - 1) // ROWS, 0)
        expert = tl.sum(((tiles <= tile) & (each < num_experts)).to(tl.int32), 0)
        before = tl.sum(tl.where(each == expert - 1, tiles, 0), 0)
        first = tl.sum(tl.where(each == expert, starts, 0), 0) + (tile - before) * ROWS
        stop = tl.sum(tl.where(each == expert, ends, 0), 0)
    if (expert < 0) | (expert >= num_experts):
        if SINGLE:  # another rank's
            zeros = tl.zeros((OUTPUTS,), y_ptr.dtype.element_ty)
            tl.store(
                y_ptr + first.to(tl.int64) * y_stride + output, zeros, mask=output < num_outputs
            )
        return
    row = first + tl.arange(0, ROWS)
    is_row = row < stop
    depth = tl.arange(0, DEPTH)
    is_output = output < num_outputs
    x = x_ptr + row.to(tl.int64)[:, None] * x_stride + depth[None, :]
    weight = weight_ptr + expert.to(tl.int64) * num_outputs * size
    weight = weight + output.to(tl.int64)[None, :] * size + depth[:, None]
    total = tl.zeros((ROWS, OUTPUTS), tl.float32)
    for start in range(0, size, DEPTH):
        is_depth = start + depth < size
        part = tl.load(x + start, mask=is_row[:, None] & is_depth[None, :], other=0.0)
        of_expert = tl.load(weight + start, mask=is_depth[:, None] & is_output[None, :], other=0.0)
        total = tl.dot(part, of_expert, total, input_precision=PRECISION)
    if BIAS:
        bias = tl.load(bias_ptr + expert * num_outputs + output, mask=is_output, other=0.0)
        total += bias.to(tl.float32)[None, :]
    y = y_ptr + row.to(tl.int64)[:, None] * y_stride + output[None, :]
    tl.store(y, total.to(y_ptr.dtype.element_ty), mask=is_row[:, None] & is_output[None, :])


def grouped_matmul(
    x_SI: Tensor,
    weight_XOI: Tensor,
    bias_XO: Tensor | None,
    expert_S: Tensor,
    ends_X1: Tensor | None,
) -> Tensor:
    """y_SO: row s times the matrix of expert_S[s], plus its bias; x's dtype, sums in float32.

    With `ends_X1`, rows are sorted by expert, and those of expert e are ends_X1[e] to ends_X1[e + 1]; other rows are
    not written. Without it each row is a tile of its own, and rows of other experts than the X are zero. x must be
    contiguous in I, but its rows may be the same memory (stride 0). Nothing depends on values on the host.
    """
    num_rows, size = x_SI.shape
    num_experts, num_outputs, _ = weight_XOI.shape
    y_SO = x_SI.new_empty((num_rows, num_outputs))
    is_single = ends_X1 is None
    rows = _ROWS if is_single or num_rows < 32 * num_experts else _MANY_ROWS
    outputs, depth = (64, 128) if rows == _ROWS else (128, 64)
    num_tiles = num_rows if is_single else triton.cdiv(num_rows, rows) + min(num_experts, num_rows)
    _grouped[(num_tiles, triton.cdiv(num_outputs, outputs))](
        x_SI, weight_XOI, weight_XOI if bias_XO is None else bias_XO, y_SO,
        expert_S, expert_S if ends_X1 is None else ends_X1,
        num_rows, num_experts, size, num_outputs, x_SI.stride(0), y_SO.stride(0),
        SINGLE=is_single, BIAS=bias_XO is not None, EXPERTS=next_power_of_two(num_experts),
        ROWS=rows, OUTPUTS=outputs, DEPTH=depth,
        PRECISION="ieee" if x_SI.dtype == torch.float32 else "tf32",
        num_warps=4, num_stages=3, **launch_options(x_SI.device),
    )  # fmt: skip
    return y_SO
