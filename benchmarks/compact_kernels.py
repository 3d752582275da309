"""Times the kernels for compact weights on a card, by shape and number of tokens, beside torch's plain product.

    python benchmarks/compact_kernels.py [--tune] [--output FILE]

The linears are those of a layer of Llama-3.1-8B, random. Each is captured in a graph over copies that together are larger than the
second-level cache, so that weights come from memory. Printed: microseconds, the share of the bandwidth that the bytes of the
weights take (few tokens), or of the arithmetic (many), and the relative error against float64 where it is cheap. `--tune`
tries other tiles than those of `jackfield_compact.device.choice` and prints the best.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from triton.runtime.errors import OutOfResources

from jackfield.errors import JackfieldError
from jackfield_bench.shapes import FLOP_PER_S, READ_BYTES_PER_S
from jackfield_compact.device.blocks import Blocks, block_order
from jackfield_compact.device.choice import NUM_TOKENS, Tile, choose_tile
from jackfield_compact.device.few import FewTile
from jackfield_compact.device.hopper import HopperTile, fits_hopper
from jackfield_compact.device.linear import DeviceLinear
from jackfield_compact.device.rounding import RoundedProduct, can_round
from jackfield_compact.device.vector import VectorTile
from jackfield_compact.matrix import CompactMatrix
from jackfield_fp8.reader import round_to_fp8
from jackfield_int4.rounding import round_to_int4
from jackfield_int8.rounding import round_to_int8

SHAPES = {
    "qkv": (6144, 4096),
    "out": (4096, 4096),
    "gate_up": (28_672, 4096),
    "down": (4096, 14_336),
}
TOKENS = (1, 16, 32, 64, 128, 256, 512, 4096)
KINDS: dict[str, Callable[[Tensor], CompactMatrix]] = {
    "int4 g128": lambda weight_OI: round_to_int4(weight_OI, 128, symmetric=True),
    "int4 g32 zeros": round_to_int4,
    "int8": round_to_int8,
    "fp8": round_to_fp8,
}
ENOUGH_BYTES = 200 << 20  # of copies: four times the second-level cache of an H200
BF16 = torch.bfloat16
CUDA = torch.device("cuda")


def time_us(functions: list[Callable[[], object]], repeats: int = 20) -> float:
    """Median of one call, over replays of a graph that calls all of them in turn."""
    for function in functions:
        function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for function in functions:
            function()
    samples = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        samples.append(1e3 * begin.elapsed_time(end) / len(functions))
    return statistics.median(samples)


def copies_of(blocks: Blocks, tile: Tile | None = None) -> list[DeviceLinear]:
    """Linears of the same matrix in memory of their own; of one tile, or as they choose."""
    choose = choose_tile if tile is None else lambda *_: tile
    count = min(32, max(2, ENOUGH_BYTES // blocks.num_bytes))
    linears = [DeviceLinear(blocks, None, BF16, choose=choose)]
    for _ in range(count - 1):
        copied = type(blocks)(
            **{
                name: value.clone() if isinstance(value, Tensor) else value
                for name in blocks.__slots__
                for value in [getattr(blocks, name)]
            }
        )
        linears.append(DeviceLinear(copied, None, BF16, choose=choose))
    return linears


def tiles(num_tokens: int, blocks: Blocks) -> Iterator[Tile]:
    """What may be worth a try."""
    if num_tokens > 1 and fits_hopper(blocks, BF16):
        for splits in (1, 2, 3, 4, 6, 8):
            for stages, halves in ((2, 1), (3, 1), (2, 2)):
                for registers in (None, 128):
                    yield HopperTile(128, splits, 8, stages, halves, num_tokens <= 64, registers)
        return
    if num_tokens == 1:
        for outputs, words, warps in (
            (4, 512, 4), (8, 512, 4), (8, 256, 2), (4, 256, 2), (8, 1024, 8), (16, 256, 4), (8, 256, 4), (4, 128, 1), (2, 512, 4),
        ):  # fmt: skip
            for stages in (1, 2):
                yield VectorTile(outputs, words, warps, stages)
        return
    for outputs, warps in ((64, 4), (128, 4), (128, 8), (64, 8)):
        for splits, stages in ((1, 3), (2, 3), (4, 3), (8, 2), (2, 2), (4, 4)):
            yield FewTile(outputs, splits, warps, stages)


def tune(blocks: Blocks, x: Tensor) -> tuple[float, str]:
    """The fastest tile; what does not compile or fit is passed over."""
    found: list[tuple[float, str]] = []
    for tile in tiles(len(x), blocks):
        try:
            linears = copies_of(blocks, tile)
            spent = time_us([lambda one=one: one(x) for one in linears], repeats=5)
        except (RuntimeError, AssertionError, JackfieldError, ValueError, OutOfResources):
            continue
        found.append((spent, str(tile)))
    return min(found)


def measure(name: str, kind: str, tuned: bool) -> Iterator[dict[str, object]]:
    """Lines of one linear."""
    num_outputs, num_inputs = SHAPES[name]
    plain = torch.empty(num_outputs, num_inputs, device=CUDA).normal_(0, 0.02)
    matrix = KINDS[kind](plain)
    blocks = block_order(matrix, CUDA)
    assert blocks is not None
    exact_OI = matrix.dequantise()
    plains = [plain.to(BF16) for _ in range(2)]
    del plain
    linears = copies_of(blocks)
    for count in TOKENS:
        x = torch.randn(count, num_inputs, device=CUDA, dtype=BF16)
        used = linears if count <= NUM_TOKENS[-1] else linears[:2]
        spent = time_us([lambda one=one, x=x: one(x) for one in used])
        library = time_us([lambda one=one, x=x: F.linear(x, one) for one in plains])
        flop_us = 2e6 * count * num_outputs * num_inputs / FLOP_PER_S
        bytes_us = 1e6 * blocks.num_bytes / READ_BYTES_PER_S
        wanted = x[:64].float() @ exact_OI.T
        line: dict[str, object] = {
            "linear": name,
            "kind": kind,
            "tokens": count,
            "us": round(spent, 1),
            "bfloat16_us": round(library, 1),
            "share_of_floor": round(max(flop_us, bytes_us) / spent, 2),
            "error": float(
                f"{((linears[0](x)[:64].float() - wanted).norm() / wanted.norm()).item():.2g}"
            ),
        }
        rounds = can_round(blocks, BF16)
        if rounds:
            rounded = RoundedProduct(blocks, None, linears[0].scratch)
            line["rounded_us"] = round(time_us([lambda x=x, rounded=rounded: rounded(x)] * 2), 1)
        if tuned and count <= NUM_TOKENS[-1] and (count == 1 or not rounds):
            line["best_us"], line["best"] = tune(blocks, x)
        yield line


def main() -> None:
    """Print a line each, write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = []
    with torch.inference_mode():
        for kind in arguments.kind or KINDS:
            for name in SHAPES:
                for line in measure(name, kind, arguments.tune):
                    lines.append(line)
                    print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
