"""The product of several tokens with a plain matrix on Hopper: what it takes, and its launch. See hopper_kernel.py."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from jackfield_torch.chip import runs_hopper_kernels
from jackfield_torch.kernels.launch import launch_options, next_power_of_two
from jackfield_torch.kernels.scratch import Scratch

_LEAST_TOKENS, _MOST_TOKENS = 16, 256  # of a tile
_LINE = 128  # bytes of a row that are copied together
_MOST_BY_RULE = 128  # tokens; 256 were no faster in an engine
_PROCESSORS = 132  # multiprocessors of an H100 or H200
_RING = 100 << 10  # bytes, of which a processor holds two


@dataclass(frozen=True, slots=True)
class HopperTile:
    """Rows of the matrix of one program, programs that share the inputs of a row, and the ring in shared memory.

    A stage of the ring is `halves` times 128 bytes of each row and token.
    """

    rows: int = 64
    splits: int = 1
    stages: int = 4
    halves: int = 2
    warps: int = 4
    tokens: int = _MOST_TOKENS  # of one program, at most
    apart: bool = False  # True: the norm that reads the sums of the splits adds them up


def fits_hopper(weight_OI: Tensor) -> bool:
    """True if the kernel multiplies this matrix: on a Hopper, in bfloat16 or E4M3, in rows that the copy engine takes."""
    num_outputs, size = weight_OI.shape
    return (
        runs_hopper_kernels(weight_OI.device)
        and weight_OI.dtype in (torch.bfloat16, torch.float8_e4m3fn)
        and weight_OI.is_contiguous()
        and num_outputs % 16 == 0
        and (size * weight_OI.itemsize) % _LINE == 0
        and weight_OI.data_ptr() % 16 == 0
    )


@dataclass(frozen=True, slots=True)
class Scales:
    """Factors of a product of rounded numbers, float32."""

    row_O: Tensor
    token_T: Tensor


def hopper_tile(num_tokens: int, num_rows: int, row_bytes: int) -> HopperTile | None:
    """The tile for shapes that were not measured themselves; None where the library was faster on an H200.

    Programs with a ring of a whole processor are faster than two with half of it each, until there are more programs than
    processors. Inputs are shared out where rows are too few; of more than 32 tokens the sums that then meet cost too much.
    """
    tokens = max(_LEAST_TOKENS, next_power_of_two(num_tokens))
    tiles, lines = triton.cdiv(num_rows, 64), triton.cdiv(row_bytes, _LINE)
    is_few = tokens <= 32
    if tokens > _MOST_BY_RULE or (not is_few and 2 * tiles <= _PROCESSORS):
        return None
    if tiles > _PROCESSORS and not is_few:  # longer tiles read the tokens less often
        return HopperTile(128, 1, _stages(_RING, 128, tokens, lines), 1, 4)
    splits = 1
    while 2 * splits * tiles <= _PROCESSORS and 32 * splits <= lines:
        splits *= 2
    halves = 2 if tokens <= 64 else 1
    ring = _RING if tiles > _PROCESSORS else 2 * _RING
    stages = _stages(ring, 64 * halves, tokens * halves, triton.cdiv(lines, splits * halves))
    return HopperTile(64, splits, stages, halves, 4)


def _stages(ring: int, rows: int, tokens: int, steps: int) -> int:
    """Stages of so many lines that fit into a ring of so many bytes; no more than there are steps."""
    return max(2, min(steps, ring // ((rows + tokens) * _LINE)))


def multiply_hopper(
    x_TI: Tensor,
    weight_OI: Tensor,
    tile: HopperTile,
    scratch: Scratch | None = None,
    *,
    scales: Scales | None = None,
    activation: str = "",
    bias_O: Tensor | None = None,
    into_TO: Tensor | None = None,
    apart: bool = False,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x, rounded to bfloat16; sums in float32.

    With an activation the matrix holds the gate's rows and then as many rows of up, and has no bias. `into_TO` is added to in
    place and returned. `apart`: the result is the sums of each split, float32 [splits, T, O], to be added by whoever reads
    them. x and weight have one dtype; x must be contiguous in I. `fits_hopper` must be true.
    """
    # Of Triton's parts that may change, only this kernel needs them.
    from triton.experimental.gluon import language as gl
    from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

    from jackfield_torch.kernels.hopper_kernel import multiply

    num_tokens, size = x_TI.shape
    gated = bool(activation)
    num_outputs = weight_OI.shape[0] // (1 + gated)
    tokens = min(tile.tokens, max(_LEAST_TOKENS, next_power_of_two(num_tokens)))
    grid = (
        triton.cdiv(num_outputs, tile.rows // (1 + gated)),
        tile.splits,
        triton.cdiv(num_tokens, tokens),
    )
    y_TO = into_TO
    if apart:
        shape = (tile.splits, num_tokens, num_outputs)
        y_TO = torch.empty(shape, dtype=torch.float32, device=x_TI.device)
    elif y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=torch.bfloat16, device=x_TI.device)
    if tile.splits > 1 and not apart:
        assert scratch is not None, "parts meet in a scratch"
        num_programs = grid[0] * grid[1] * grid[2]
        assert scratch.holds(num_programs, tokens * tile.rows), f"{tile} has too many parts"
    parts, counters = (x_TI, x_TI) if scratch is None else (scratch.parts, scratch.counters)
    width = _LINE // weight_OI.itemsize
    bits = 8 * weight_OI.itemsize
    # Rows in groups of 16. With a gate eight of them are of the gate, and the next eight of up.
    group, half = (8 * size, num_outputs * size) if gated else (16 * size, 8 * size)
    weight_boxes = TensorDescriptor(
        weight_OI,
        [size // width, weight_OI.shape[0] // 16, 2, 8, width],
        [width, group, half, size, 1],
        [tile.halves, tile.rows // 16, 2, 8, width],
        gl.NVMMASharedLayout(swizzle_byte_width=_LINE, element_bitwidth=bits, rank=5),
    )
    input_boxes = TensorDescriptor(
        x_TI,
        [size // width, num_tokens, width],
        [width, x_TI.stride(0), 1],
        [tile.halves, tokens, width],
        gl.NVMMASharedLayout(swizzle_byte_width=_LINE, element_bitwidth=bits, rank=3),
    )
    row_O, token_T = (x_TI, x_TI) if scales is None else (scales.row_O, scales.token_T)
    multiply[grid](
        weight_boxes, input_boxes, row_O, token_T, x_TI if bias_O is None else bias_O, y_TO, parts, counters,
        triton.cdiv(size, width * tile.halves), num_tokens, num_outputs, tile.splits, y_TO.stride(-2),
        SCALED=scales is not None, ACTIVATION=activation, BIAS=bias_O is not None, ADD=into_TO is not None,
        TOKENS=tokens, ROWS=tile.rows, QUEUE=tile.splits > 1 and not apart, APART=apart, STAGES=tile.stages, HALVES=tile.halves,
        num_warps=tile.warps, **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO
