"""In which order attention backends are asked on NVIDIA's cards; what refuses is passed over."""

from __future__ import annotations

ATTENTION = ("triton_attn", "torch_sdpa")
