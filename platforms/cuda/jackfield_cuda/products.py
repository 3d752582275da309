"""The kernel that multiplies few tokens with a matrix, from measurements on an H200 (docs/performance-gpu.md)."""

from __future__ import annotations

from jackfield_torch.kernels.hopper import HopperTile, hopper_tile
from jackfield_torch.kernels.matvec import Tile
from jackfield_torch.kernels.products import AnyTile, choose_tile

_MOST_BY_RULE = (
    32  # tokens up to which products of shapes that were not measured are ours on Hopper
)

# Keys: outputs, inputs, and whether there is a gate; then tokens. Where nothing stands the library (cuBLAS) is used. Behind each
# tile: us, and those of the library with its norm or gate.
_MEASURED: dict[tuple[int, int, bool], dict[int, AnyTile]] = {
    # Qwen3-0.6B: qkv, o, gate and up, down, head
    (4096, 1024, False): {
        1: Tile(16, 512, 8, 4),  # 3.8 us; norm and cuBLAS 6.3
        16: HopperTile(64, 1, 8),
        32: HopperTile(64, 1, 8),  # 3.3; 5.0
        64: HopperTile(64, 1, 6),
        128: HopperTile(64, 1, 4),  # 4.9; 5.5
    },
    (1024, 2048, False): {
        1: Tile(2, 2048, 4, 2),  # 2.6; 12.8
        16: HopperTile(64, 4, apart=True),
        32: HopperTile(64, 4, apart=True),  # 4.4; 7.0
        64: HopperTile(64, 8, 2, apart=True),
        128: HopperTile(64, 8, 2, apart=True),  # 6.1; 7.3
    },
    (3072, 1024, True): {
        1: Tile(8, 512, 4, 4),  # 4.5; 8.5
        16: HopperTile(64, 1, 8),
        32: HopperTile(64, 1, 8),  # 4.7; 7.3
        64: HopperTile(64, 1, 6),
        128: HopperTile(64, 1, 4),  # 6.0; 7.5
    },
    (1024, 3072, False): {
        1: Tile(4, 2048, 4, 4),  # 3.8; 7.6
        16: HopperTile(64, 6, apart=True),
        32: HopperTile(64, 6, apart=True),  # 5.1; 7.5
        64: HopperTile(64, 6, 3, apart=True),
        128: HopperTile(64, 6, 2, apart=True),  # 7.2; 8.3
    },
    (151_936, 1024, False): {
        1: Tile(32, 256, 4, 4),  # 74; 90
        16: HopperTile(64, 1, 4),
        32: HopperTile(64, 1, 4),  # 77.5; 84.3
    },
    # Llama-3.1-8B
    (6144, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 15.7; 18.5
        16: HopperTile(64, 1, 8),
        32: HopperTile(64, 1, 8),  # 14.7; 16.5
    },
    (4096, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 10.1; 13.7
        16: HopperTile(128, 2, 5, warps=8, apart=True),
        32: HopperTile(128, 2, 5, warps=8, apart=True),  # 13.0; 14.7
    },
    (14_336, 4096, True): {
        1: Tile(8, 512, 4, 4),  # 57.5; 64.0
        16: HopperTile(64, 1, 4),
        32: HopperTile(64, 1, 4),  # 57.4; 61.0
    },
    (4096, 14_336, False): {
        1: Tile(16, 512, 8, 4),  # 29.0; 33.2
        16: HopperTile(64, 2, 8),
        32: HopperTile(64, 2, 8),  # 31.9; 34.5
    },
    (128_256, 4096, False): {
        1: Tile(8, 1024, 4, 4),  # 235; 285
        16: HopperTile(128, 1, 2, warps=8),
        32: HopperTile(128, 1, 2, warps=8),  # 245; 265
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
