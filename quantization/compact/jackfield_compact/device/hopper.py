"""The product of several tokens with four-bit codes on Hopper: which matrices it takes, and its launch. See hopper_kernel.py."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from jackfield_compact.device.blocks import INTEGER, Blocks
from jackfield_compact.device.decoding import tensors_of
from jackfield_torch.chip import runs_hopper_kernels
from jackfield_torch.kernels.launch import launch_options, next_power_of_two
from jackfield_torch.kernels.scratch import Scratch

_LEAST_TOKENS, MOST_TOKENS = 16, 128  # of a tile
_BOX = 32  # inputs of a row that are copied together


@dataclass(frozen=True, slots=True)
class HopperTile:
    """Rows of the matrix and parts of the blocks that programs share, and how a program goes through its blocks."""

    rows: int = 128
    splits: int = 1
    warps: int = 8
    stages: int = 2  # of inputs, in flight
    halves: int = 1  # of a block, 128 inputs each, in a stage
    exact: bool = False  # True: sums of whole numbers are scaled; False: weights are
    registers: int | None = (
        None  # of a thread, at most: 128 lets two programs of 8 warps share a processor
    )


def fits_hopper(blocks: Blocks, dtype: torch.dtype) -> bool:
    """True if the kernel multiplies this matrix: codes of four bits with whole zeros, in groups of 128 or a multiple of it,
    or in a single group.
    """
    return (
        runs_hopper_kernels(blocks.words_OW.device)
        and dtype == torch.bfloat16
        and (blocks.kind, blocks.bits, blocks.width) == (INTEGER, 4, 32)
        and blocks.group_size % 128 == 0
        and blocks.zero.is_integer()
        and (blocks.zeros_GO is None or _are_exact(blocks.zeros_GO))
    )


def _are_exact(zeros_GO: Tensor) -> bool:
    """True if bfloat16 holds 128 plus each of them."""
    return zeros_GO.dtype == torch.uint8 and bool((zeros_GO <= 128).all())


def multiply_hopper(
    x_TI: Tensor,
    blocks: Blocks,
    tile: HopperTile,
    scratch: Scratch | None = None,
    *,
    activation: str = "",
    bias_O: Tensor | None = None,
    into_TO: Tensor | None = None,
) -> Tensor:
    """y = activation(gate) * up or y = weight * x in bfloat16; sums in float32.

    With an activation the matrix holds the gate's rows and then as many rows of up. `into_TO` is added to in place and
    returned. x must be in the order of the blocks, contiguous in I. `fits_hopper` must be true.
    """
    # Of Triton's parts that may change, only this kernel needs them.
    from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

    from jackfield_compact.device.hopper_kernel import BOXES, multiply

    num_tokens = len(x_TI)
    num_outputs = blocks.num_outputs // (2 if activation else 1)
    y_TO = into_TO
    if y_TO is None:
        y_TO = torch.empty((num_tokens, num_outputs), dtype=x_TI.dtype, device=x_TI.device)
    tokens = min(MOST_TOKENS, max(_LEAST_TOKENS, next_power_of_two(num_tokens)))
    tiles = triton.cdiv(num_outputs, tile.rows // (2 if activation else 1))
    grid = (tiles, tile.splits, triton.cdiv(num_tokens, tokens))
    parts, counters = (x_TI, x_TI) if scratch is None else (scratch.parts, scratch.counters)
    if tile.splits > 1:
        assert scratch is not None, "parts meet in a scratch"
        num_programs = grid[0] * grid[1] * grid[2]
        assert scratch.holds(num_programs, tokens * tile.rows), f"{tile} has too many parts"
    shape = [blocks.num_inputs // _BOX, num_tokens, _BOX]
    box = [128 // _BOX * tile.halves, tokens, _BOX]
    boxes = TensorDescriptor(x_TI, shape, [_BOX, x_TI.stride(0), 1], box, BOXES)
    multiply[grid](
        *tensors_of(blocks), boxes, x_TI if bias_O is None else bias_O, y_TO, parts, counters,
        blocks.words_OW.shape[1], blocks.num_outputs, num_tokens, num_outputs, tile.splits, y_TO.stride(0),
        GROUP=blocks.group_size, ZERO=blocks.zero, HAS_ZEROS=blocks.zeros_GO is not None, ACTIVATION=activation,
        BIAS=bias_O is not None, ADD=into_TO is not None, TOKENS=tokens, ROWS=tile.rows, SPLIT=tile.splits > 1,
        STAGES=tile.stages, HALVES=tile.halves, EXACT=tile.exact, num_warps=tile.warps, maxnreg=tile.registers,
        **launch_options(x_TI.device),
    )  # fmt: skip
    return y_TO
