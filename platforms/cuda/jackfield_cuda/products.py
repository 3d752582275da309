"""The kernel that multiplies few tokens with a matrix, from measurements on an H200 (docs/performance-gpu.md)."""

from __future__ import annotations

from jackfield_torch.kernels.hopper import HopperTile, hopper_tile
from jackfield_torch.kernels.matvec import Tile
from jackfield_torch.kernels.products import AnyTile, choose_tile

_MOST_BY_RULE = (
    64  # tokens up to which products of shapes that were not measured are ours on Hopper
)

# Keys: outputs, inputs, and whether there is a gate; then tokens. Where nothing stands the library (cuBLAS) was faster. Behind
# each tile: us, and those of the library with its gate; of products whose sums are apart, both with the norm that follows.
_MEASURED: dict[tuple[int, int, bool], dict[int, AnyTile]] = {
    # Qwen3-0.6B: qkv, o, gate and up, down, head
    (4096, 1024, False): {
        1: Tile(16, 512, 8, 4),  # 3.8; 6.3
        16: HopperTile(64, 1, 4, 4),  # 3.1; 5.0
        32: HopperTile(64, 1, 8),  # 3.3; 5.0
        64: HopperTile(64, 1, 6),  # 3.9; 5.5
        128: HopperTile(64, 1, 8, 1),  # 4.9; 5.5
    },
    (1024, 2048, False): {
        1: Tile(2, 2048, 4, 2),  # 2.6; 12.8
        16: HopperTile(64, 4, apart=True),  # 4.2; 6.9
        32: HopperTile(64, 4, apart=True),  # 4.4; 7.0
        64: HopperTile(64, 4, apart=True),  # 4.6; 6.9
        128: HopperTile(64, 4, apart=True),  # 5.8; 7.4
    },
    (3072, 1024, True): {
        1: Tile(8, 512, 4, 4),  # 4.5; 8.5
        16: HopperTile(64, 1, 4, 4),  # 4.1; 7.1
        32: HopperTile(64, 1, 4, 4),  # 4.5; 7.3
        64: HopperTile(64, 1, 6),  # 4.9; 7.4
        128: HopperTile(64, 1, 8, 1),  # 6.1; 7.6
    },
    (1024, 3072, False): {
        1: Tile(4, 2048, 4, 4),  # 3.8; 7.6
        16: HopperTile(64, 6, apart=True),  # 4.7; 7.6
        32: HopperTile(64, 6, apart=True),  # 5.1; 7.5
        64: HopperTile(64, 6, apart=True),  # 5.4; 8.0
        128: HopperTile(64, 6, 4, 1, apart=True),  # 6.6; 8.5
    },
    (151_936, 1024, False): {
        1: Tile(32, 256, 4, 4),  # 74; 90
        16: HopperTile(64, 1, 5),  # 75.8; 82.5
        32: HopperTile(64, 1, 4),  # 77.5; 84.3
        64: HopperTile(64, 1, 6, 1),  # 79.2; 87.3
    },
    # Llama-3.1-8B
    (6144, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 15.7; 18.5
        16: HopperTile(64, 1, 10),  # 14.1; 16.1
        32: HopperTile(64, 1, 16, 1),  # 14.4; 16.5
        64: HopperTile(64, 1, 6),  # 15.5; 16.5
    },
    (4096, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 10.1; 13.7
        16: HopperTile(64, 2, 10),  # with the norm behind it 13.0; 14.0
        32: HopperTile(64, 2, 9, 1, apart=True),  # 12.9; 14.4
    },
    (14_336, 4096, True): {
        1: Tile(8, 512, 4, 4),  # 57.5; 64.0
        16: HopperTile(64, 1, 5),  # 57.0; 65.1
        32: HopperTile(64, 1, 4),  # 57.4; 61.0
        64: HopperTile(64, 1, 6, 1),  # 60.2; 65.9
        128: HopperTile(128, 1, 3, 1),  # 63.6; 70.7
    },
    (4096, 14_336, False): {
        1: Tile(16, 512, 8, 4),  # 29.0; 33.2
        16: HopperTile(64, 2, 10),  # with the norm behind it 31.2; 34.1
        32: HopperTile(64, 2, 8),  # likewise 31.9; 34.5
        64: HopperTile(64, 2, 6),  # likewise 35.1; 37.1
    },
    (128_256, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 235; 285
        16: HopperTile(64, 1, 5),  # 244; 254
        32: HopperTile(128, 1, 2, warps=8),  # 245; 265
        64: HopperTile(128, 1, 4, 1),  # 256; 283
    },
}


def choose(num_tokens: int, num_outputs: int, size: int, gated: bool) -> AnyTile | None:
    """The fastest kernel for this shape; for shapes that were not measured, the choice of a rule."""
    measured = _MEASURED.get((num_outputs, size, gated))
    if measured is not None:
        return measured.get(num_tokens)
    if 1 < num_tokens <= _MOST_BY_RULE:
        return hopper_tile(num_tokens, num_outputs * (1 + gated), 2 * size)
    return choose_tile(num_tokens, num_outputs, size, gated)
