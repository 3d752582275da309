"""A few tokens times a matrix. Each weight is read once, so the kernel includes the operations around the product."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from jackfield_torch.kernels.activation import activate
from jackfield_torch.kernels.launch import (
    begin,
    launch_options,
    next_power_of_two,
    wait_for_inputs,
)

LEAST_TOKENS = 16  # of a tile; a tensor core takes at least this many
# Elements that all concurrent programs hold, on the largest chips.
MOST_PARTS = 132 * 2 * 128 * 64
_MOST_QUEUES = 1 << 14


@dataclass(frozen=True, slots=True)
class SkinnyTile:
    """Shape of one program: outputs, columns of a step, parts that share the columns, warps, and steps in flight."""

    outputs: int
    columns: int
    splits: int = 1
    warps: int = 4
    stages: int = 4
    norms: bool = False  # True: computes the norm of its input itself


@triton.jit
def _skinny(
    x_ptr, weight_ptr, norm_ptr, bias_ptr, y_ptr, parts_ptr, counters_ptr,
    num_tokens, num_outputs, size, epsilon, x_stride, y_stride,
    NORM: tl.constexpr, ACTIVATION: tl.constexpr, BIAS: tl.constexpr, ADD: tl.constexpr, EVEN: tl.constexpr,
    TOKENS: tl.constexpr, OUTPUTS: tl.constexpr, COLUMNS: tl.constexpr, SPLITS: tl.constexpr,
    STAGES: tl.constexpr, DEPENDENT: tl.constexpr,
):  # fmt: skip
    """OUTPUTS outputs of TOKENS tokens, summed over one of SPLITS parts of the columns."""
    begin(DEPENDENT)
    tile, split, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tile * OUTPUTS + tl.arange(0, OUTPUTS)
    token = block * TOKENS + tl.arange(0, TOKENS)
    column = tl.arange(0, COLUMNS)
    steps = tl.cdiv(tl.cdiv(size, COLUMNS), SPLITS)
    first, last = split * steps * COLUMNS, tl.minimum((split + 1) * steps * COLUMNS, size)
    # what stands outside is read too, of the last row and token, and never stored
    safe_row = tl.minimum(row, num_outputs - 1).to(tl.int64)
    safe_token = tl.minimum(token, num_tokens - 1).to(tl.int64)
    weights = weight_ptr + safe_row[None, :] * size + column[:, None]
    gate_distance = num_outputs.to(tl.int64) * size
    inputs = x_ptr + safe_token[:, None] * x_stride + column[None, :]
    total = tl.zeros([TOKENS, OUTPUTS], tl.float32)
    if ACTIVATION != "":
        up_total = tl.zeros([TOKENS, OUTPUTS], tl.float32)
    if NORM:
        squares = tl.zeros([TOKENS], tl.float32)
    # the first weights are on their way before the input is ready
    inside = first + column < last
    if EVEN:
        weight = tl.load(weights + first)
    else:
        weight = tl.load(weights + first, mask=inside[:, None], other=0.0)
    if ACTIVATION != "":
        if EVEN:
            up_weight = tl.load(weights + gate_distance + first)
        else:
            up_weight = tl.load(weights + gate_distance + first, mask=inside[:, None], other=0.0)
    wait_for_inputs(DEPENDENT)
    if EVEN:
        x = tl.load(inputs + first)
    else:
        x = tl.load(inputs + first, mask=inside[None, :], other=0.0)
    if NORM:
        wide = x.to(tl.float32)
        squares += tl.sum(wide * wide, 1)
        norm = tl.load(norm_ptr + first + column, mask=inside, other=0.0)
        x = (wide * norm[None, :]).to(x.dtype)
    total = tl.dot(x, weight, total, input_precision="ieee")
    if ACTIVATION != "":
        up_total = tl.dot(x, up_weight, up_total, input_precision="ieee")
    for start in tl.range(first + COLUMNS, last, COLUMNS, num_stages=STAGES):
        inside = start + column < last
        if EVEN:
            x = tl.load(inputs + start)
            weight = tl.load(weights + start)
        else:
            x = tl.load(inputs + start, mask=inside[None, :], other=0.0)
            weight = tl.load(weights + start, mask=inside[:, None], other=0.0)
        if NORM:
            norm = tl.load(norm_ptr + start + column, mask=inside, other=0.0)
            wide = x.to(tl.float32)
            squares += tl.sum(wide * wide, 1)
            x = (wide * norm[None, :]).to(x.dtype)
        total = tl.dot(x, weight, total, input_precision="ieee")
        if ACTIVATION != "":
            if EVEN:
                up_weight = tl.load(weights + gate_distance + start)
            else:
                up_weight = tl.load(
                    weights + gate_distance + start, mask=inside[:, None], other=0.0
                )
            up_total = tl.dot(x, up_weight, up_total, input_precision="ieee")
    is_last = True
    if SPLITS > 1:
        # this part, then its turn in the queue; whoever comes last adds all up
        place = tl.arange(0, TOKENS)[:, None] * OUTPUTS + tl.arange(0, OUTPUTS)[None, :]
        queue = block * tl.num_programs(0) + tile
        parts = parts_ptr + queue.to(tl.int64) * (SPLITS * TOKENS * OUTPUTS) + place
        tl.store(parts + split * (TOKENS * OUTPUTS), total)
        tl.debug_barrier()
        arrived = tl.atomic_add(counters_ptr + queue, 1, sem="acq_rel", scope="gpu")
        tl.debug_barrier()
        is_last = arrived == SPLITS - 1
        if is_last:
            tl.store(counters_ptr + queue, 0)
            total = tl.zeros([TOKENS, OUTPUTS], tl.float32)
            for part in tl.static_range(SPLITS):
                total += tl.load(parts + part * (TOKENS * OUTPUTS), cache_modifier=".cg")
    if is_last:
        y = total
        if NORM:
            scale = tl.rsqrt(squares / size + epsilon)
            y = y * scale[:, None]
        if BIAS:
            y += tl.load(bias_ptr + safe_row).to(tl.float32)[None, :]
        if ACTIVATION != "":
            if NORM:
                up_total = up_total * scale[:, None]
            y = activate(y, ACTIVATION) * up_total
        is_output = (token < num_tokens)[:, None] & (row < num_outputs)[None, :]
        target = y_ptr + token.to(tl.int64)[:, None] * y_stride + row[None, :]
        if ADD:
            y = y.to(y_ptr.dtype.element_ty).to(tl.float32)
            y += tl.load(target, mask=is_output, other=0.0).to(tl.float32)
        tl.store(target, y.to(y_ptr.dtype.element_ty), mask=is_output)


class Scratch:
    """The memory in which the parts of a product meet. A device has one, since products run one after another."""

    def __init__(self, device: torch.device) -> None:
        self.parts = torch.empty(MOST_PARTS, dtype=torch.float32, device=device)
        self.counters = torch.zeros(_MOST_QUEUES, dtype=torch.int32, device=device)

    def holds(self, num_programs: int, num_elements: int) -> bool:
        """True if there is room for this number of programs and of elements."""
        return num_programs * num_elements <= len(self.parts) and num_programs <= len(self.counters)


def skinny_linear(
    x_TI: Tensor,
    weight_OI: Tensor,
    tile: SkinnyTile,
    scratch: Scratch | None = None,
    *,
    norm_I: Tensor | None = None,
    epsilon: float = 0.0,
    activation: str = "",
    bias_O: Tensor | None = None,
    into_TO: Tensor | None = None,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x, in x's dtype. If `norm_I` is given, x is replaced by its RMS norm.

    With an activation the matrix holds the gate's rows, followed by an equal number of up, and has no bias. `into_TO`
    is added to in place and returned. Sums in float32; the norm is applied to x, rounded once, and to the sums. With
    norm or activation there must be no splits. x must be contiguous in I.
    """
    num_tokens, size = x_TI.shape
    num_outputs = weight_OI.shape[0] // (2 if activation else 1)
    y_TO = into_TO
    if y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=x_TI.dtype, device=x_TI.device)
    tokens = min(128, max(LEAST_TOKENS, next_power_of_two(num_tokens)))
    grid = (triton.cdiv(num_outputs, tile.outputs), tile.splits, triton.cdiv(num_tokens, tokens))
    is_even = size % (tile.columns * tile.splits) == 0
    parts, counters = (x_TI, x_TI) if scratch is None else (scratch.parts, scratch.counters)
    if tile.splits > 1:
        num_programs = grid[0] * grid[1] * grid[2]
        assert scratch is not None, "parts meet in a scratch"
        assert scratch.holds(num_programs, tokens * tile.outputs), f"{tile} has too many parts"
    _skinny[grid](
        x_TI, weight_OI, x_TI if norm_I is None else norm_I, x_TI if bias_O is None else bias_O, y_TO, parts, counters,
        num_tokens, num_outputs, size, epsilon, x_TI.stride(0), y_TO.stride(0),
        NORM=norm_I is not None, ACTIVATION=activation, BIAS=bias_O is not None, ADD=into_TO is not None,
        EVEN=is_even, TOKENS=tokens, OUTPUTS=tile.outputs, COLUMNS=tile.columns,
        SPLITS=tile.splits, STAGES=tile.stages, num_warps=tile.warps, **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO
