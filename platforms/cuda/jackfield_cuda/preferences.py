"""The order of attention backends on NVIDIA's cards, by the need of layers. A backend that refuses is skipped.

The figures are those of benchmarks/results/gpu/h200_attention.json (benchmarks/attention_backends.py): one layer on one H200,
bfloat16, 32 heads over 8 of 128 elements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jackfield_torch.interfaces.attention_backend import AttentionNeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Merit:
    """The order of backends for some needs."""

    is_for: Callable[[AttentionNeed], bool]
    order: tuple[str, ...]
    figures: str  # figures that the order rests on, in words


# The first entry that fits a need counts. Backends that are not named follow by name.
MERITS = (
    Merit(
        is_for=lambda need: need.cache_dtype.startswith("float8"),
        order=("flashinfer", "triton_attn", "torch_sdpa"),
        figures="the one that reads 8-bit caches",
    ),
    Merit(
        is_for=lambda need: need.sinks,
        order=("triton_attn", "flash_attn"),
        figures="with sinks none was measured",
    ),
    Merit(
        is_for=lambda need: True,
        order=("triton_attn", "flashinfer", "flash_attn", "xformers", "torch_sdpa"),
        figures="64 rows of 1,000 tokens on an H200: triton_attn 0.070 ms, flashinfer 0.076, torch_sdpa 0.254",
    ),
)


def attention_order(need: AttentionNeed) -> tuple[tuple[str, ...], str]:
    """The order for such layers, and the figures that it rests on."""
    merit = next(merit for merit in MERITS if merit.is_for(need))
    return merit.order, merit.figures
