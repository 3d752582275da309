"""Compile every Triton kernel for AMD's chips and NVIDIA's Hopper without such a chip, and print the resources it uses.

    PYTHONPATH=FOLDER_WITH_TRITON python tools/compile_kernels.py [gfx942 sm_90 ...] [compact ...]

Triton's wheel from PyPI holds the compilers and linkers of both. The functions of the runtime are called with tensors on the
host, and each launch of a kernel compiles it instead. The program fails if a kernel spills registers, uses more shared memory
than the chip has, or multiplies matrices without matrix instructions.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit

from jackfield_compact.device.blocks import block_order
from jackfield_compact.device.choice import NUM_TOKENS, choose_tile
from jackfield_compact.device.dense import widen
from jackfield_compact.device.hopper import HopperTile, multiply_hopper
from jackfield_compact.device.linear import DeviceLinear
from jackfield_compact.device.rounding import apply_scales, round_inputs
from jackfield_compact.matrix import CompactMatrix
from jackfield_compact.tables import e2m1, float8, integers
from jackfield_torch.interfaces.attention import (
    AttentionBatch,
    AttentionLimits,
    LayerAttention,
    LayerCache,
)
from jackfield_torch.interfaces.kernels import ExpertFacts, HeadFacts, LatentFacts, RouterFacts
from jackfield_torch.interfaces.linear import Around
from jackfield_torch.kernels.activation import ACTIVATIONS, gated_activation
from jackfield_torch.kernels.few_choices import FewChoices
from jackfield_torch.kernels.heads import rotate_and_write
from jackfield_torch.kernels.hopper import Scales, hopper_tile
from jackfield_torch.kernels.hopper import multiply_hopper as multiply_plain
from jackfield_torch.kernels.latent_inputs import rotate_and_keep
from jackfield_torch.kernels.norm import add_rms_norm
from jackfield_torch.kernels.route import route
from jackfield_torch.kernels.sampling import draw_tokens
from jackfield_torch.kernels.scratch import Scratch
from jackfield_torch.kernels.steps import append_drawn, prepare_rows, update_words
from jackfield_triton_attn.attention import TritonAttention
from jackfield_triton_attn.hopper import attend_hopper, boxes_of
from jackfield_triton_attn.latent import LatentAttention

# Shared memory of a compute unit.
SHARED_BYTES = {
    "gfx90a": 64 << 10,
    "gfx942": 64 << 10,
    "gfx950": 160 << 10,
    "sm_90": 227 << 10,
    "sm_120": 99 << 10,
}
_UNASKED = "sm_120"  # compiled if it is named: compact kernels for many tokens spill there
_NVIDIA = "sm_"
_WAVE, _WARP = 64, 32  # lanes
_MATRIX = re.compile(r"\bv_(?:s?mfma)c?_\w+|\bwgmma\.mma_async\.\S+|\bmma\.sync\.\S+")
_PRODUCT = re.compile(r"\btt\.dot\b")
_NARROW = re.compile(r"dot .*x(?:bf16|f16|f8)")  # NVIDIA's chips do not multiply float32 exactly
_PTX_SPILLS = re.compile(r"(\d+) bytes spill stores")
# Vector registers are spilled to memory. Scalar ones go to lanes of vector registers, which costs little.
_VECTOR_SPILLS = re.compile(r"vgpr_spill_count:\s+(\d+)")
_SCALAR_SPILLS = re.compile(r"sgpr_spill_count:\s+(\d+)")


@dataclass(frozen=True, slots=True)
class Binary:
    """One kernel for one chip."""

    chip: str
    name: str
    setting: str  # name of the setting that launched it
    code_bytes: int
    shared_bytes: int
    spills: int  # vector registers; on NVIDIA's chips bytes
    scalar_spills: int
    matrix_instructions: tuple[str, ...]
    has_products: bool  # True if it multiplies matrices

    @property
    def problems(self) -> list[str]:
        """Reasons why it would be slow or fail on the chip."""
        found = []
        if not self.code_bytes:
            found.append("no machine code")
        if self.spills:
            found.append(f"{self.spills} vector registers spilled")
        if self.shared_bytes > SHARED_BYTES[self.chip]:
            found.append(f"{self.shared_bytes} bytes of shared memory of {SHARED_BYTES[self.chip]}")
        if self.has_products and not self.matrix_instructions:
            found.append("no matrix instructions")
        return found


class _Chip:
    """Stands in for Triton's driver of a device that this machine does not have."""

    def __init__(self, name: str) -> None:
        is_nvidia = name.startswith(_NVIDIA)
        number = int(name.removeprefix(_NVIDIA)) if is_nvidia else name
        self._target = GPUTarget(
            "cuda" if is_nvidia else "hip", number, _WARP if is_nvidia else _WAVE
        )

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: object = None) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def compile_all(chip: str) -> Iterator[Binary]:
    """Compile every kernel in every setting that changes its code. Raises what the compiler raises."""
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
    is_nvidia = chip.startswith(_NVIDIA)
    text = kernel.asm["ptx" if is_nvidia else "amdgcn"]
    if is_nvidia:
        spills = _spilled_bytes(text, chip)
    else:
        spills = sum(map(int, _VECTOR_SPILLS.findall(text)))
    return Binary(
        chip=chip,
        name=name,
        setting=setting,
        code_bytes=len(kernel.asm["cubin" if is_nvidia else "hsaco"]),
        shared_bytes=kernel.metadata.shared,
        spills=spills,
        scalar_spills=sum(map(int, _SCALAR_SPILLS.findall(text))),
        matrix_instructions=tuple(sorted(set(_MATRIX.findall(text)))),
        has_products=bool((_NARROW if is_nvidia else _PRODUCT).search(kernel.asm["ttgir"])),
    )


def _spilled_bytes(ptx: str, chip: str) -> int:
    """Bytes of spilled registers, as the assembler in Triton's wheel reports them."""
    name = "ptxas-blackwell" if int(chip.removeprefix(_NVIDIA)) >= 100 else "ptxas"
    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        words = [str(assembler), "-v", f"-arch={chip}a", file.name, "-o", "/dev/null"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    return sum(map(int, _PTX_SPILLS.findall(done.stderr)))


def _batch(queries: list[int], num_blocks: int) -> AttentionBatch:
    """Rows whose first tokens these are, with tables of so many blocks."""
    return AttentionBatch(
        query_lengths=queries,
        lengths=queries,
        query_starts_R1=torch.zeros(len(queries) + 1, dtype=torch.int32),
        lengths_R=torch.ones(len(queries), dtype=torch.int32),
        block_ids_RB=torch.zeros(len(queries), num_blocks, dtype=torch.int32),
        slots_T=torch.zeros(sum(queries), dtype=torch.int64),
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
        attention.prepare(_batch(queries, 256))
        q_TNH = torch.zeros(sum(queries), num_heads, size, dtype=dtype)
        if layer.pop("sinks", False):
            layer["sinks_N"] = torch.zeros(num_heads)
        attention.attend(q_TNH, LayerCache(*cache), LayerAttention(scale=0.1, **layer))

    return run


def _hopper_attention() -> None:
    """The kernel of long rows for Hopper. Nothing on other chips."""
    if driver.active.get_current_target().arch != 90:
        return
    for dtype, heads, kv_heads, size, block_size in (
        (_BF16, 16, 8, 128, 64),
        (_BF16, 32, 8, 128, 16),
        (torch.float16, 14, 2, 64, 256),
    ):
        cache = torch.zeros(4, block_size, kv_heads, size, dtype=dtype)
        limits = AttentionLimits(
            device=torch.device("cpu"),
            dtype=dtype,
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_size=size,
            max_rows=8,
            max_step_tokens=256,
            max_length=4096,
            num_blocks=4,
        )
        boxes = boxes_of(cache)
        q_TNH = torch.zeros(100, heads, size, dtype=dtype)
        layer, batch = LayerAttention(scale=0.1), _batch([99, 1], 4)
        attend_hopper(
            q_TNH, (boxes, boxes), layer, batch, limits, block_size, q_TNH, skip_single=True
        )


def _latent(dtype: torch.dtype, num_heads: int, queries: list[int]) -> None:
    """As DeepSeek-V2 and V3 have them."""
    limits = AttentionLimits(
        device=torch.device("cpu"),
        dtype=dtype,
        num_heads=num_heads,
        num_kv_heads=1,
        head_size=576,
        max_rows=64,
        max_step_tokens=256,
        max_length=4096,
        num_blocks=4,
    )
    attention = LatentAttention(limits, dtype.itemsize)
    attention.prepare(_batch(queries, 64))
    kept = torch.zeros(4, 64, 1, 576, dtype=dtype)
    q_TND = torch.zeros(sum(queries), num_heads, 576, dtype=dtype)
    layer = LayerAttention(scale=0.1, latent=512)
    attention.attend(q_TND, LayerCache(kept, kept[..., :512]), layer)


def _latent_inputs(dtype: torch.dtype) -> None:
    facts = LatentFacts(
        head_size=128,
        latent_size=512,
        rotary_size=64,
        norm_weight_C=torch.zeros(512),
        norm_epsilon=1e-6,
        interleaved=True,
    )
    kept, rotation = torch.zeros(4, 64, 1, 576, dtype=dtype), torch.zeros(4, 1, 64, dtype=dtype)
    q_TNX, kept_TD = torch.zeros(4, 16, 192, dtype=dtype), torch.zeros(4, 576, dtype=dtype)
    cache = LayerCache(kept, kept[..., :512])
    rotate_and_keep(
        facts, q_TNX, kept_TD, rotation, rotation, cache, torch.zeros(4, dtype=torch.int64)
    )


def _experts(dtype: torch.dtype) -> None:
    """Those of Qwen3-30B-A3B, for one token and for more."""
    few = FewChoices(
        ExpertFacts(
            into_XOI=torch.zeros(128, 1536, 2048, dtype=dtype),
            into_bias_XO=None,
            out_XOI=torch.zeros(128, 2048, 768, dtype=dtype),
            out_bias_XO=None,
            activation="silu",
            first=0,
        )
    )
    facts = RouterFacts(
        weight_XE=torch.zeros(128, 2048),
        bias_X=None,
        choice_bias_X=None,
        top_k=8,
        is_sigmoid=False,
        renormalise=True,
        factor=1.0,
    )
    for count in (1, 16, 32, 256):
        x_TE = torch.zeros(count, 2048, dtype=dtype)
        few(x_TE, *route(facts, x_TE))


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


def _hopper_products() -> None:
    """Products of several tokens with plain matrices on Hopper, in each tile that is chosen. Nothing on other chips."""
    if driver.active.get_current_target().arch != 90:
        return
    scratch = Scratch(torch.device("cpu"))
    for dtype in (_BF16, torch.float8_e4m3fn):
        weight_OI = torch.zeros(4 * _SIZE, _SIZE, dtype=dtype)
        for count in (16, 32, 64, 128):
            x_TI = torch.zeros(count, _SIZE, dtype=dtype)
            scales = None if dtype == _BF16 else Scales(torch.ones(4 * _SIZE), torch.ones(count))
            for activation in ("", "silu"):
                tile = hopper_tile(count, 4 * _SIZE, _SIZE * dtype.itemsize)
                assert tile is not None
                multiply_plain(x_TI, weight_OI, tile, scratch, scales=scales, activation=activation)


def _gates(dtype: torch.dtype) -> None:
    for activation in ACTIVATIONS:
        gated_activation(torch.zeros(4, 6144, dtype=dtype), activation)


def _compact(make: Callable[[], CompactMatrix], dtype: torch.dtype) -> None:
    """Launch every kernel that is chosen for a matrix of the size of Llama-3.1-8B's."""
    blocks = block_order(make(), torch.device("cpu"))
    assert blocks is not None
    linear = DeviceLinear(blocks, None, dtype)
    gated = linear.narrow(Around(norm_weight_I=torch.zeros(_SIZE), activation="silu"))
    added = linear.narrow(Around())
    assert gated is not None
    assert added is not None
    for count in NUM_TOKENS:
        x = torch.zeros(count, _SIZE, dtype=dtype)
        linear(x)
        gated(x)
        added(x, torch.zeros(count, _SIZE, dtype=dtype))
    widen(blocks, torch.zeros(_SIZE * _SIZE, dtype=dtype), 0, _SIZE)


def _codes(table: torch.Tensor, bits: int, group_size: int, zeros: bool) -> CompactMatrix:
    groups = _SIZE // group_size
    return CompactMatrix(
        codes_OI=torch.zeros(_SIZE, _SIZE, dtype=torch.uint8),
        bits=bits,
        table=table,
        scale_OG=torch.ones(_SIZE, groups, dtype=torch.float16),
        offset_OG=torch.ones(_SIZE, groups) if zeros else None,
        group_I=torch.arange(_SIZE) // group_size,
    )


def _rounded_inputs() -> None:
    for size in (4096, 14_336):
        x = torch.zeros(4, size, dtype=_BF16)
        round_inputs(x, 32)
        apply_scales(x, torch.ones(4, 1), torch.ones(size), None)


def _hopper_codes() -> None:
    """The kernel of four-bit codes for Hopper, in each tile that is chosen. Nothing on other chips."""
    if driver.active.get_current_target().arch != 90:
        return
    for zeros in (False, True):
        blocks = block_order(_codes(integers(4, 8), 4, 128, zeros=zeros), torch.device("cpu"))
        assert blocks is not None
        scratch = Scratch(torch.device("cpu"))
        for count in NUM_TOKENS[1:]:
            x = torch.zeros(count, _SIZE, dtype=_BF16)
            for activation in ("", "silu"):
                tile = choose_tile(count, blocks, bool(activation), True)
                assert isinstance(tile, HopperTile)
                multiply_hopper(x, blocks, tile, scratch, activation=activation)


_SIZE = 4096  # number of inputs and of outputs
_COMPACT: dict[str, Callable[[], CompactMatrix]] = {
    "4 bits, groups of 128": lambda: _codes(integers(4, 8), 4, 128, zeros=False),
    "4 bits, groups of 32, zeros": lambda: _codes(integers(4, 8), 4, 32, zeros=True),
    "8 bits": lambda: _codes(integers(8, 128), 8, _SIZE, zeros=False),
    "float8": lambda: _codes(float8(torch.float8_e4m3fn), 8, _SIZE, zeros=False),
    "float4, groups of 16": lambda: _codes(e2m1(), 4, 16, zeros=False),
    "own tables": lambda: _codes(torch.rand(_SIZE, 16), 4, _SIZE, zeros=False),
}
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
    "rounded inputs": _rounded_inputs,
    "compact for Hopper": _hopper_codes,
    "attention for Hopper": _hopper_attention,
    "plain products on Hopper": _hopper_products,
    **{f"compact {name}": partial(_compact, make, _BF16) for name, make in _COMPACT.items()},
    "draws": _draws,
    **{f"experts {d}": partial(_experts, d) for d in (_BF16, torch.float32)},
    **{f"latent inputs {d}": partial(_latent_inputs, d) for d in (_BF16, torch.float32)},
    **{
        f"latent {name} {heads} heads {d}": partial(_latent, d, heads, queries)
        for d, heads in ((_BF16, 16), (_BF16, 128), (torch.float32, 16))
        for name, queries in (("decode", [1] * 64), ("drafts", [4] * 8), ("chunk", [100, 1]))
    },
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
    """Print a line for each kernel. Returns 1 if one of them has problems."""
    failed = 0
    words = sys.argv[1:]
    names = [word for word in words if word not in SHARED_BYTES]  # beginnings of settings
    for name in list(SETTINGS) if names else ():
        if not name.startswith(tuple(names)):
            del SETTINGS[name]
    named = [word for word in words if word in SHARED_BYTES]
    for chip in named or [chip for chip in SHARED_BYTES if chip != _UNASKED]:
        binaries: dict[Binary, None] = {}
        for one in compile_all(chip):
            if one in binaries:
                continue
            binaries[one] = None
            problems = one.problems
            failed += bool(problems)
            print(
                f"{chip} {one.name} ({one.setting}): {one.code_bytes} bytes, shared {one.shared_bytes}, "
                f"spills {one.spills} and {one.scalar_spills} scalar, {' '.join(one.matrix_instructions) or '-'}"
                + "".join(f"  !! {problem}" for problem in problems),
                flush=True,
            )
        print(f"{chip}: {len(binaries)} binaries, {failed} with problems", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
