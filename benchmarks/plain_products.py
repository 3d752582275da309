"""Times products with plain weights in bfloat16 on a card, by shape and number of tokens, beside the library's.

    python benchmarks/plain_products.py [--output FILE]

The products are those of a layer and of the head, random, with the operations around them: qkv, gate_up and head with the norm
before them, gate_up with its gate, out and down with the addition and the norm behind them. Each is captured in a graph over
copies that together are larger than the second-level cache. Printed: microseconds of the kernel that is chosen and of the library,
the share of the bandwidth or of the arithmetic, whichever takes longer, and the relative error against float64 where it is cheap.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from compact_kernels import BF16, CUDA, ENOUGH_BYTES, time_us
from torch import Tensor

from jackfield_bench.shapes import FLOP_PER_S, READ_BYTES_PER_S
from jackfield_cuda.products import choose
from jackfield_torch.interfaces.kernels import ProductFacts
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.products import Choose, TritonProduct
from jackfield_torch.kernels.scratch import Scratch

SHAPES = {  # rows and inputs
    "qwen3-0.6b": {
        "qkv": (4096, 1024), "out": (1024, 2048), "gate_up": (6144, 1024), "down": (1024, 3072), "head": (151_936, 1024),
    },
    "llama-3.1-8b": {
        "qkv": (6144, 4096), "out": (4096, 4096), "gate_up": (28_672, 4096), "down": (4096, 14_336), "head": (128_256, 4096),
    },
}  # fmt: skip
TOKENS = (1, 16, 32, 64, 128, 256)
ADDED = ("out", "down")
CHEAP = 1 << 27  # elements of a matrix
FEWEST = 12  # products of a graph, beside which its launch is short


class Measured:
    """One product and the operations around it, by the kernels that `choose` names."""

    def __init__(self, name: str, weight_OI: Tensor, norms: dict[int, Tensor], choice: Choose, scratch: Scratch) -> None:  # fmt: skip
        rows, size = weight_OI.shape
        self.is_added = name in ADDED
        self.norm = norms[rows if self.is_added else size]
        self.facts = ProductFacts(
            weight_OI=weight_OI,
            bias_O=None,
            norm_weight_I=None if self.is_added else self.norm,
            norm_epsilon=1e-6,
            activation="silu" if name == "gate_up" else "",
            adds=self.is_added,
        )
        self.product = TritonProduct(self.facts, choice, scratch)

    def __call__(self, x_TI: Tensor, stream_TO: Tensor) -> Tensor:
        if not self.is_added:
            return self.product(x_TI)
        if (parts := self.product.parts(x_TI)) is None:
            self.product(x_TI, stream_TO)
        return add_rms_norm(stream_TO, parts, self.norm, 1e-6)

    def exact(self, x_TI: Tensor, stream_TO: Tensor) -> Tensor:
        """The same in float64."""
        weight_OI = self.facts.weight_OI.double()
        if self.is_added:
            return normed(stream_TO.double() + x_TI.double() @ weight_OI.T, self.norm)
        y_TO = normed(x_TI.double(), self.norm) @ weight_OI.T
        if not self.facts.activation:
            return y_TO
        gate, up = y_TO.chunk(2, -1)
        return torch.nn.functional.silu(gate) * up


def normed(x: Tensor, weight: Tensor) -> Tensor:
    """The RMS norm."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def library(*_: object) -> None:
    """Chooses no kernel of ours."""


def measure(shape: str, name: str, scratch: Scratch) -> Iterator[dict[str, object]]:
    """A line for each number of tokens."""
    rows, size = SHAPES[shape][name]
    count = max(2, -(-ENOUGH_BYTES // (2 * rows * size)))
    weights = [torch.empty(rows, size, dtype=BF16, device=CUDA).normal_(0, 0.02) for _ in range(count)]  # fmt: skip
    norms = {n: torch.rand(n, device=CUDA) + 0.5 for n in (rows, size)}
    for num_tokens in TOKENS:
        x = torch.randn(num_tokens, size, device=CUDA).to(BF16)
        stream = torch.randn(num_tokens, rows, device=CUDA).to(BF16)
        spent: list[float] = []
        for choice in (choose, library):
            products = [Measured(name, weight, norms, choice, scratch) for weight in weights]
            if choice is choose and rows * size < CHEAP:
                exact = products[0].exact(x, stream)
                found = products[0](x, stream.clone()).double()
                error = float((found - exact).norm() / exact.norm())
            calls: list[Callable[[], object]] = [
                lambda product=product, x=x, stream=stream: product(x, stream) for product in products
            ]  # fmt: skip
            spent.append(time_us(calls * max(1, FEWEST // count), 9))
        floor = max(2 * rows * size / READ_BYTES_PER_S, 2 * rows * size * num_tokens / FLOP_PER_S)
        yield {
            "shape": shape, "product": name, "tokens": num_tokens, "us": round(spent[0], 2), "library_us": round(spent[1], 2),
            "share_of_floor": round(1e6 * floor / spent[0], 3),
            "error": float(f"{error:.2g}") if rows * size < CHEAP else None,
        }  # fmt: skip


def main() -> None:
    """Print a line each, write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = []
    with torch.inference_mode():
        scratch = Scratch(CUDA)
        for shape, products in SHAPES.items():
            for name in products:
                for line in measure(shape, name, scratch):
                    lines.append(line)
                    print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
