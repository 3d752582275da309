"""Compile every Triton kernel for AMD's chips, without one: real machine code, and what it takes of a chip.

    PYTHONPATH=FOLDER_WITH_TRITON python tools/compile_for_amd.py [gfx942 ...]

Triton's wheel from PyPI holds the AMD compiler and linker. What the runtime launches is called with tensors of the host; a
launch becomes a compilation. Fails where a kernel spills registers, takes more shared memory than the chip has, or
multiplies matrices without matrix instructions.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.interfaces.kernels import HeadFacts
from jackfield_torch.kernels.activation import ACTIVATIONS, gated_activation
from jackfield_torch.kernels.heads import rotate_and_write
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.sampling import draw_tokens
from jackfield_torch.kernels.steps import append_drawn, prepare_rows, update_words
from jackfield_triton_attn.attention import TritonAttention

SHARED_BYTES = {"gfx90a": 64 << 10, "gfx942": 64 << 10, "gfx950": 160 << 10}  # of a compute unit
_WAVE = 64  # lanes
_MATRIX = re.compile(r"\bv_(?:s?mfma)c?_\w+")
_VECTOR_SPILLS = re.compile(r"vgpr_spill_count:\s+(\d+)")  # to memory
_SCALAR_SPILLS = re.compile(
    r"sgpr_spill_count:\s+(\d+)"
)  # to lanes of vector registers, which costs little


@dataclass(frozen=True, slots=True)
class Binary:
    """One kernel for one chip."""

    chip: str
    name: str
    setting: str  # under which it was launched
    hsaco_bytes: int
    shared_bytes: int
    spills: int  # of vector registers
    scalar_spills: int
    matrix_instructions: tuple[str, ...]
    has_products: bool  # multiplies matrices

    @property
    def problems(self) -> list[str]:
        """What would make it slow or fail on the chip."""
        found = []
        if not self.hsaco_bytes:
            found.append("no machine code")
        if self.spills:
            found.append(f"{self.spills} vector registers spilled")
        if self.shared_bytes > SHARED_BYTES[self.chip]:
            found.append(f"{self.shared_bytes} bytes of shared memory of {SHARED_BYTES[self.chip]}")
        if self.has_products and not self.matrix_instructions:
            found.append("no matrix instructions")
        return found


class _Chip:
    """Triton's driver of a device that is not here."""

    def __init__(self, name: str) -> None:
        self._target = GPUTarget("hip", name, _WAVE)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: object = None) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def compile_all(chip: str) -> Iterator[Binary]:
    """Every kernel in every setting that changes its code. Raises what the compiler raises."""
    driver.set_active(_Chip(chip))
    found: list[Any] = []
    launch = jit.JITFunction.run

    def compiled(self: Any, *args: Any, grid: Any, warmup: bool = False, **options: Any) -> Any:
        kernel = launch(self, *args, grid=grid, warmup=True, **options)
        found.append((self.__name__, kernel))
        return kernel

    jit.JITFunction.run = compiled
    try:
        for setting, run in SETTINGS.items():
            found.clear()
            run()
            yield from (_binary(chip, setting, name, kernel) for name, kernel in found)
    finally:
        jit.JITFunction.run = launch


def _binary(chip: str, setting: str, name: str, kernel: Any) -> Binary:
    text = kernel.asm["amdgcn"]
    return Binary(
        chip=chip,
        name=name,
        setting=setting,
        hsaco_bytes=len(kernel.asm["hsaco"]),
        shared_bytes=kernel.metadata.shared,
        spills=sum(map(int, _VECTOR_SPILLS.findall(text))),
        scalar_spills=sum(map(int, _SCALAR_SPILLS.findall(text))),
        matrix_instructions=tuple(sorted(set(_MATRIX.findall(text)))),
        has_products="tt.dot" in kernel.asm["ttgir"],
    )


def _attention(
    dtype: torch.dtype, heads: tuple[int, int], size: int, queries: list[int], **layer: Any
) -> Callable[[], None]:
    def run() -> None:
        num_heads, num_kv_heads = heads
        cache = torch.zeros(2, 4, 16, num_kv_heads, size, dtype=dtype)
        limits = AttentionLimits(
            device=torch.device("cpu"),
            dtype=dtype,
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_size=size,
            max_rows=8,
            max_step_tokens=256,
            max_length=4096,
            num_blocks=4,
        )
        attention = TritonAttention(limits)
        rows = len(queries)
        attention.prepare(
            AttentionBatch(
                query_lengths=queries,
                lengths=queries,
                query_starts_R1=torch.zeros(rows + 1, dtype=torch.int32),
                lengths_R=torch.ones(rows, dtype=torch.int32),
                block_ids_RB=torch.zeros(rows, 256, dtype=torch.int32),
                slots_T=torch.zeros(sum(queries), dtype=torch.int64),
            )
        )
        q_TNH = torch.zeros(sum(queries), num_heads, size, dtype=dtype)
        if layer.pop("sinks", False):
            layer["sinks_N"] = torch.zeros(num_heads)
        attention.attend(q_TNH, LayerCache(*cache), LayerAttention(scale=0.1, **layer))

    return run


def _heads(dtype: torch.dtype, norm: bool) -> None:
    cache = torch.zeros(2, 8, 16, 8, 128, dtype=dtype)
    rotation = torch.zeros(4, 1, 128, dtype=dtype)
    facts = HeadFacts(
        num_heads=16,
        num_kv_heads=8,
        head_size=128,
        rotary_size=128,
        norm_weight_MH=torch.zeros(24, 128) if norm else None,
        norm_epsilon=1e-6,
        interleaved=False,
    )
    slots = torch.zeros(4, dtype=torch.int64)
    x = torch.zeros(4, 32, 128, dtype=dtype)
    rotate_and_write(facts, x, rotation, rotation, LayerCache(*cache), slots)


def _rows() -> None:
    ints, longs = torch.zeros(64, dtype=torch.int32), torch.zeros(8, dtype=torch.int64)
    records, tokens = ints.view(4, 16), torch.zeros(4, 64, dtype=torch.int32)
    table = torch.zeros(4, 8, dtype=torch.int32)
    update_words(ints, torch.zeros(8, 2, dtype=torch.int32))
    append_drawn(records, tokens, 0, longs[:4], longs[:4])
    prepare_rows(
        records,
        tokens,
        table,
        (0, 1),
        16,
        rows_S=ints[:4],
        counts_S=ints[:4],
        query_starts_S1=ints[:5],
        token_ids_T=ints[:8],
        positions_T=longs,
        lengths_S=ints[:4],
        block_ids_SB=table,
        slots_T=longs,
        is_first_group=True,
    )


def _draws() -> None:
    logits = torch.zeros(4, 151936)
    draw_tokens(logits, None, None, None)
    seeds, counts = torch.zeros(4, 2, dtype=torch.int32), torch.zeros(4, dtype=torch.int64)
    draw_tokens(logits, torch.zeros(4), seeds, counts)


def _norms(dtype: torch.dtype) -> None:
    for size in (1024, 4096):
        x = torch.zeros(4, size, dtype=dtype)
        add_rms_norm(x, None, torch.zeros(size), 1e-6)
        add_rms_norm(x, x, torch.zeros(size), 1e-6)


def _gates(dtype: torch.dtype) -> None:
    for activation in ACTIVATIONS:
        gated_activation(torch.zeros(4, 6144, dtype=dtype), activation)


_BF16 = torch.bfloat16
_DECODE, _PROMPT, _MIXED = [1] * 8, [64] * 4, [64, 64, 1]
_FEATURES: dict[str, dict[str, Any]] = {
    "": {},
    " window": {"window": 100},
    " soft cap": {"soft_cap": 30.0},
    " sinks": {"sinks": True},
    " not causal": {"causal": False},
}
SETTINGS: dict[str, Callable[[], None]] = {
    "rows": _rows,
    "draws": _draws,
    **{f"norms {d}": partial(_norms, d) for d in (_BF16, torch.float32)},
    **{f"gates {d}": partial(_gates, d) for d in (_BF16, torch.float32)},
    **{f"heads norm={n}": partial(_heads, _BF16, n) for n in (True, False)},
    **{
        f"{step} {heads[0]}/{heads[1]} heads of {size} {dtype}{name}": _attention(
            dtype, heads, size, queries, **layer
        )
        for dtype, heads, size, names in (
            (_BF16, (32, 8), 128, tuple(_FEATURES)),
            (_BF16, (16, 8), 128, ("",)),
            (_BF16, (9, 3), 64, ("",)),
            (_BF16, (8, 4), 256, ("", " window")),
            (torch.float16, (32, 8), 128, ("",)),
            (torch.float32, (32, 8), 128, ("",)),
        )
        for name, layer in _FEATURES.items()
        if name in names
        for step, queries in (("decode", _DECODE), ("prompt", _PROMPT), ("mixed", _MIXED))
    },
}


def main() -> int:
    """Print a line a kernel; 1 if one of them would not do."""
    failed = 0
    for chip in sys.argv[1:] or SHARED_BYTES:
        binaries: dict[Binary, None] = {}
        for one in compile_all(chip):
            if one in binaries:
                continue
            binaries[one] = None
            problems = one.problems
            failed += bool(problems)
            print(
                f"{chip} {one.name} ({one.setting}): {one.hsaco_bytes} bytes, shared {one.shared_bytes}, "
                f"spills {one.spills} and {one.scalar_spills} scalar, {' '.join(one.matrix_instructions) or '-'}"
                + "".join(f"  !! {problem}" for problem in problems),
                flush=True,
            )
        print(f"{chip}: {len(binaries)} binaries, {failed} with problems", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
