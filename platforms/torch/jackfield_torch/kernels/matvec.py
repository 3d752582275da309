"""One token times a matrix. The time is that of reading the weights once, so the kernel includes norm, gate and sum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import begin, launch_options, wait_for_inputs


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows and columns of the matrix that a program holds at once, and the warps that read them."""

    rows: int
    columns: int
    warps: int
    stages: int = 2
    # True: asks for all its weights before the input is ready, not only for the first columns.
    ahead: bool = False


@triton.jit
def _matvec(
    x_ptr, weight_ptr, norm_ptr, bias_ptr, residual_ptr, y_ptr, size, num_outputs, epsilon,
    x_stride, residual_stride, y_stride,
    NORM: tl.constexpr, ACTIVATION: tl.constexpr, BIAS: tl.constexpr, ADD: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """ROWS outputs of one token. The first weights are on their way before the input is ready."""
    begin(DEPENDENT)
    token = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    is_row = row < num_outputs
    weights = weight_ptr + row.to(tl.int64)[:, None] * size + column[None, :]
    gate_distance = num_outputs.to(tl.int64) * size
    inside = is_row[:, None] & (column < size)[None, :]
    weight = tl.load(weights, mask=inside, other=0.0)
    if ACTIVATION != "":
        up_weight = tl.load(weights + gate_distance, mask=inside, other=0.0)
    if NORM:
        norm = tl.load(norm_ptr + column, mask=column < size, other=0.0)
    wait_for_inputs(DEPENDENT)
    x_row = x_ptr + token * x_stride + column
    x = tl.load(x_row, mask=column < size, other=0.0).to(tl.float32)
    if NORM:
        squares = x * x
        x = x * norm
    total = weight.to(tl.float32) * x[None, :]
    if ACTIVATION != "":
        up_total = up_weight.to(tl.float32) * x[None, :]
    for start in tl.range(COLUMNS, size, COLUMNS, num_stages=STAGES):
        is_column = start + column < size
        inside = is_row[:, None] & is_column[None, :]
        weight = tl.load(weights + start, mask=inside, other=0.0)
        x = tl.load(x_row + start, mask=is_column, other=0.0).to(tl.float32)
        if NORM:
            squares += x * x
            x = x * tl.load(norm_ptr + start + column, mask=is_column, other=0.0)
        total += weight.to(tl.float32) * x[None, :]
        if ACTIVATION != "":
            up_weight = tl.load(weights + gate_distance + start, mask=inside, other=0.0)
            up_total += up_weight.to(tl.float32) * x[None, :]
    y = tl.sum(total, 1)
    if NORM:
        scale = tl.rsqrt(tl.sum(squares, 0) / size + epsilon)
        y = y * scale
    if BIAS:
        y += tl.load(bias_ptr + row, mask=is_row, other=0.0).to(tl.float32)
    if ACTIVATION != "":
        up = tl.sum(up_total, 1)
        if NORM:
            up = up * scale
        y = activate(y, ACTIVATION) * up
    if ADD:
        y = y.to(y_ptr.dtype.element_ty).to(tl.float32)
        residual = tl.load(residual_ptr + token * residual_stride + row, mask=is_row, other=0.0)
        y += residual.to(tl.float32)
    tl.store(y_ptr + token * y_stride + row, y.to(y_ptr.dtype.element_ty), mask=is_row)


def matvec(
    x_TI: Tensor,
    weight_OI: Tensor,
    *,
    norm_I: Tensor | None = None,
    epsilon: float = 0.0,
    activation: str = "",
    bias_O: Tensor | None = None,
    residual_TO: Tensor | None = None,
    out_TO: Tensor | None = None,
    tile: Tile | None = None,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x, in x's dtype. If `norm_I` is given, x is replaced by its RMS norm.

    With an activation the matrix holds the gate's rows, followed by an equal number of up. `residual_TO` is added to
    in place and returned. Sums in float32. The norm is not rounded before the product, so results are closer to exact
    than those of separate operators. Reads the whole matrix for each token, so it is meant for one or very few. x
    must be contiguous in I.
    """
    num_tokens, size = x_TI.shape
    num_outputs = weight_OI.shape[0] // (2 if activation else 1)
    y_TO = out_TO if out_TO is not None else residual_TO
    if y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=x_TI.dtype, device=x_TI.device)
    tile = tile or choose_tile(num_outputs, size, gated=bool(activation))
    residual = x_TI if residual_TO is None else residual_TO
    _matvec[(triton.cdiv(num_outputs, tile.rows), num_tokens)](
        x_TI, weight_OI, x_TI if norm_I is None else norm_I, x_TI if bias_O is None else bias_O,
        residual, y_TO, size, num_outputs, epsilon, x_TI.stride(0), residual.stride(0), y_TO.stride(0),
        NORM=norm_I is not None, ACTIVATION=activation, BIAS=bias_O is not None,
        ADD=residual_TO is not None, ROWS=tile.rows, COLUMNS=tile.columns, STAGES=tile.stages,
        num_warps=tile.warps, **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO


def choose_tile(num_outputs: int, size: int, *, gated: bool) -> Tile:
    """A tile that was good for similar shapes on an H200: with few rows many columns for each program, and vice versa."""
    if gated:
        return Tile(8, 512, 4, 4)
    if num_outputs <= 2048 < size:
        return Tile(4, 2048, 4, 4)
    if size > 1024:
        return Tile(8, 1024, 4, 4)
    return Tile(32, 256, 4, 4) if num_outputs > 1 << 16 else Tile(16, 512, 8, 4)
