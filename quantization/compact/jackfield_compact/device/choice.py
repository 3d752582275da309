"""Which kernel multiplies so many tokens with a compact matrix. By arithmetic: none of it was measured yet."""

from __future__ import annotations

from collections.abc import Callable

from jackfield_compact.device.blocks import Blocks
from jackfield_compact.device.few import MOST_TOKENS, FewTile
from jackfield_compact.device.vector import VectorTile
from jackfield_torch.kernels.skinny import MOST_PARTS

NUM_TOKENS = (
    1,
    16,
    32,
    64,
    128,
)  # for up to so many something is chosen; more are multiplied with widened weights
_MOST_GATED = 32  # tokens
_PROCESSORS = 132  # that programs are shared out to, of an H100 or H200

Tile = VectorTile | FewTile
# Of tokens (one of NUM_TOKENS), the matrix, and whether it is a gate and as many of up.
# None: the gate is taken behind the product, since two halves of so many tokens fill the registers.
Choose = Callable[[int, Blocks, bool], Tile | None]


def choose_tile(num_tokens: int, blocks: Blocks, gated: bool) -> Tile | None:
    """One token reads words; several are multiplied by tensor cores, with parts where outputs alone fill no chip."""
    num_outputs = blocks.num_outputs // (2 if gated else 1)
    if num_tokens == 1:
        outputs = 8 if num_outputs >= 8 * 8 * _PROCESSORS and not gated else 4
        return VectorTile(outputs, words=512, warps=4, stages=2)
    if gated and num_tokens > _MOST_GATED:
        return None
    outputs = 64 if num_tokens <= 64 else 128
    tiles = -(-num_outputs // outputs)
    num_blocks = blocks.words_OW.shape[1] // blocks.width
    splits = 1
    most = MOST_PARTS // (tiles * outputs * min(MOST_TOKENS, num_tokens))
    while (
        not gated
        and 2 * splits <= min(8, most)
        and tiles * splits < 2 * _PROCESSORS
        and num_blocks >= 8 * splits
    ):
        splits *= 2
    return FewTile(
        outputs=outputs,
        splits=splits,
        warps=4 if outputs == 64 else 8,
        stages=3 if num_tokens <= 64 else 2,
    )
