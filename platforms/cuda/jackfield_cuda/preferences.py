"""In which order attention backends are asked on NVIDIA's cards, and the figures that the order rests on.

Measured on one H200 (torch 2.11, CUDA 13.0), see benchmarks/results/gpu. What is not installed, or refuses, is passed over.
"""

from __future__ import annotations

ATTENTION = ("triton_attn", "flash_attn", "flashinfer", "xformers", "torch_sdpa")
