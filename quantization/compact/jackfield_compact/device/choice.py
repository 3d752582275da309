"""Chooses the kernel for a number of tokens and a compact matrix, by measurement on an H200 (benchmarks/results/gpu/h200_compact.json)."""

from __future__ import annotations

from collections.abc import Callable

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.few import MOST_TOKENS, FewTile
from jackfield_compact.device.vector import VectorTile
from jackfield_torch.kernels.skinny import MOST_PARTS

# Sizes of a step, in tokens, for which a tile is chosen. Larger steps multiply with widened weights.
NUM_TOKENS = (1, 16, 32, 64, 128)
_MOST_GATED = 32  # tokens
_FEW_OUTPUTS = 5000  # products of up to so many outputs leave a chip half empty
_PROCESSORS = 132  # multiprocessors of an H100 or H200

Tile = VectorTile | FewTile
# Takes the tokens (one of NUM_TOKENS), the matrix, and whether it holds a gate and as many rows of up.
# None: the gate is applied after the product, since two halves of so many tokens fill the registers.
Choose = Callable[[int, Blocks, bool], Tile | None]


def choose_tile(num_tokens: int, blocks: Blocks, gated: bool) -> Tile | None:
    """One token reads words; several are multiplied by tensor cores, in parts if the outputs alone fill no chip."""
    num_outputs = blocks.num_outputs // (2 if gated else 1)
    if num_tokens == 1:
        return _vector_tile(num_outputs, blocks, gated)
    if gated and num_tokens > _MOST_GATED:
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
    wanted = _PROCESSORS if num_tokens == NUM_TOKENS[-1] else 2 * _PROCESSORS
    while (
        not gated
        and 2 * splits <= min(4, most)
        and tiles * splits < wanted
        and num_blocks >= 4 * splits
    ):
        splits *= 2
    return FewTile(outputs=outputs, splits=splits, warps=warps, stages=stages)


def _vector_tile(num_outputs: int, blocks: Blocks, gated: bool) -> VectorTile:
    """Many small programs where there are many outputs, else fewer with more words each."""
    if num_outputs > _FEW_OUTPUTS:
        outputs = 4 if gated or blocks.bits == 8 else 8
        return VectorTile(outputs, words=256, warps=2, stages=2 if blocks.bits == 8 else 1)
    return VectorTile(8, words=512, warps=4, stages=2 if blocks.bits == 8 else 1)
