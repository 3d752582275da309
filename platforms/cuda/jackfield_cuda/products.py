"""The kernel that multiplies few tokens with a matrix, from measurements on an H200 (docs/performance-gpu.md)."""

from __future__ import annotations

from jackfield_torch.kernels.matvec import Tile
from jackfield_torch.kernels.products import choose_tile
from jackfield_torch.kernels.skinny import SkinnyTile

# Keys: outputs, inputs, and whether there is a gate; then tokens. For other shapes the library (cuBLAS) is used.
_MEASURED: dict[tuple[int, int, bool], dict[int, Tile | SkinnyTile]] = {
    # Qwen3-0.6B: qkv, o, gate and up, down, head
    (4096, 1024, False): {
        1: Tile(16, 512, 8, 4),  # 3.8 us; norm and cuBLAS 6.3
        16: SkinnyTile(32, 1024, 1, 8, 1),  # 5.4; 7.1
        32: SkinnyTile(32, 1024, 1, 8, 1),  # 6.1; 7.1
    },
    (1024, 2048, False): {
        1: Tile(2, 2048, 4, 2),  # 2.6; 12.8
        16: SkinnyTile(64, 512, 4, 8, 2),  # 4.2; 5.9
        32: SkinnyTile(64, 512, 4, 8, 2),  # 5.4; 6.0
    },
    (3072, 1024, True): {
        1: Tile(8, 512, 4, 4),  # 4.5; 8.5
        16: SkinnyTile(32, 256, 1, 4, 4),  # 6.5; 8.8
        32: SkinnyTile(64, 64, 1, 4, 6),  # 8.5; 9.0
    },
    (1024, 3072, False): {
        1: Tile(4, 2048, 4, 4),  # 3.8; 7.6
        16: SkinnyTile(64, 512, 6, 8, 1),  # 4.4; 7.8
        32: SkinnyTile(32, 1024, 3, 8, 1),  # 5.6; 7.8
    },
    (151_936, 1024, False): {1: Tile(32, 256, 4, 4)},  # 74; 90
    # Llama-3.1-8B
    (6144, 4096, False): {1: Tile(8, 1024, 4, 4)},  # 15.7; 18.5
    (4096, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 10.1; 13.7
        16: SkinnyTile(64, 256, 8, 8, 2),  # 12.7; 14.0
    },
    (14_336, 4096, True): {
        1: Tile(8, 512, 4, 4),  # 57.5; 64.0
        16: SkinnyTile(128, 128, 1, 8, 4),  # 60.0; 61.7
    },
    (4096, 14_336, False): {1: Tile(16, 512, 8, 4)},  # 29.0; 33.2
    (128_256, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 235; 285
        16: SkinnyTile(64, 128, 1, 4, 4),  # 248; 257
        32: SkinnyTile(64, 128, 1, 4, 3),  # 254; 271
    },
}


def choose(num_tokens: int, num_outputs: int, size: int, gated: bool) -> Tile | SkinnyTile | None:
    """The fastest kernel for this shape; for shapes that were not measured, the choice of a rule."""
    measured = _MEASURED.get((num_outputs, size, gated))
    return (
        choose_tile(num_tokens, num_outputs, size, gated)
        if measured is None
        else measured.get(num_tokens)
    )
