"""Chooses the kernel for a number of tokens and a compact matrix, by measurement on an H200 (benchmarks/results/gpu/h200_compact.json)."""

from __future__ import annotations

from collections.abc import Callable

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.few import MOST_TOKENS, FewTile
from jackfield_compact.device.hopper import HopperTile
from jackfield_compact.device.vector import VectorTile
from jackfield_torch.kernels.scratch import MOST_PARTS

# Sizes of a step, in tokens, for which a tile is chosen. Larger steps multiply with widened weights.
NUM_TOKENS = (1, 16, 32, 64, 128, 256, 384, 512)
_MOST_GATED = 32  # tokens
_HOPPER_ROWS = 128  # of a program
_FEW_OUTPUTS = 5000  # products of up to so many outputs leave a chip half empty
_PROCESSORS = 132  # multiprocessors of an H100 or H200

Tile = VectorTile | FewTile | HopperTile
# Takes the tokens (one of NUM_TOKENS), the matrix, whether it holds a gate and as many rows of up, and whether
# `fits_hopper` is true of it. None: weights are widened, or the gate is applied after the product.
Choose = Callable[[int, Blocks, bool, bool], Tile | None]


def choose_tile(
    num_tokens: int, blocks: Blocks, gated: bool, is_hopper: bool = False
) -> Tile | None:
    """One token reads words; several are multiplied by tensor cores, in parts if the outputs alone fill no chip."""
    num_outputs = blocks.num_outputs // (2 if gated else 1)
    if num_tokens == 1:
        return _vector_tile(num_outputs, blocks, gated)
    if is_hopper:
        return _hopper_tile(num_tokens, blocks, gated)
    if num_tokens > MOST_TOKENS or (gated and num_tokens > _MOST_GATED):
        return None
    outputs, warps, stages = 64, 4, 3
    if num_tokens > 64 or (num_tokens == 64 and num_outputs <= _FEW_OUTPUTS):
        outputs, warps = 128, 8
    elif num_outputs <= _FEW_OUTPUTS:
        stages = 4
    tiles = -(-num_outputs // outputs)
    num_blocks = blocks.words_OW.shape[1] // blocks.width
    splits = 1
    most = MOST_PARTS // (tiles * outputs * min(MOST_TOKENS, num_tokens))
    wanted = _PROCESSORS if num_tokens == MOST_TOKENS else 2 * _PROCESSORS
    while (
        not gated
        and 2 * splits <= min(4, most)
        and tiles * splits < wanted
        and num_blocks >= 4 * splits
    ):
        splits *= 2
    return FewTile(outputs=outputs, splits=splits, warps=warps, stages=stages)


def _hopper_tile(num_tokens: int, blocks: Blocks, gated: bool) -> HopperTile:
    """Where rows fill no chip, blocks are shared out; where they do, two programs run on each processor."""
    tiles = -(-blocks.num_outputs // _HOPPER_ROWS) * -(-num_tokens // MOST_TOKENS)
    exact = num_tokens <= 32 or (num_tokens <= 64 and tiles <= _PROCESSORS)
    most = 2 * _PROCESSORS if num_tokens <= 32 else _PROCESSORS
    splits = 1
    while not gated and splits < 8 and tiles * 2 * splits <= most:
        splits *= 2
    if exact:
        return HopperTile(_HOPPER_ROWS, splits, halves=2, exact=True)
    stages = 2 if num_tokens <= 64 else 3
    return HopperTile(splits=splits, stages=stages, registers=128 if tiles > _PROCESSORS else None)


def _vector_tile(num_outputs: int, blocks: Blocks, gated: bool) -> VectorTile:
    """Many small programs where there are many outputs, else fewer with more words each."""
    if num_outputs > _FEW_OUTPUTS:
        outputs = 4 if gated or blocks.bits == 8 else 8
        return VectorTile(outputs, words=256, warps=2, stages=2 if blocks.bits == 8 else 1)
    return VectorTile(8, words=512, warps=4, stages=2 if blocks.bits == 8 else 1)
