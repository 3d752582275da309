"""Latent attention, read from the configs of these families."""

from __future__ import annotations

from dataclasses import replace
from math import log

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_rope
from jackfield.model_spec import LatentAttention, ModuleSource, Norm, Rope

_EPSILON = 1e-6  # of the norms over latent vectors; the epsilon in the config is for the layers
_HERE = "model.layers.{i}.self_attn"

LATENT_MODULES = {
    "layers.{i}.mixer.q": ModuleSource(f"{_HERE}.q_proj"),
    "layers.{i}.mixer.q_a": ModuleSource(f"{_HERE}.q_a_proj"),
    "layers.{i}.mixer.q_norm": ModuleSource(f"{_HERE}.q_a_layernorm"),
    "layers.{i}.mixer.q_b": ModuleSource(f"{_HERE}.q_b_proj"),
    "layers.{i}.mixer.kv_a": ModuleSource(f"{_HERE}.kv_a_proj_with_mqa"),
    "layers.{i}.mixer.latent_norm": ModuleSource(f"{_HERE}.kv_a_layernorm"),
    "layers.{i}.mixer.kv_b": ModuleSource(f"{_HERE}.kv_b_proj"),
    "layers.{i}.mixer.o": ModuleSource(f"{_HERE}.o_proj"),
}
"""Names of latent attention in checkpoints."""


def read_latent_attention(config: ConfigReader, *, interleaved: bool) -> LatentAttention:
    """DeepSeek-AI 2024 (V2), section 2.1. Yarn also scales the scores, by a factor of the same kind."""
    rotary_size = config.require("qk_rope_head_dim", int)
    head_size = config.require("qk_nope_head_dim", int)
    num_heads = config.require("num_attention_heads", int)
    value_size = config.get("v_head_dim", int) or config.require("hidden_size", int) // num_heads
    query_latent_size = config.get("q_lora_rank", int)
    norm = Norm(epsilon=_EPSILON)
    rope = replace(read_rope(config, rotary_size), interleaved=interleaved)
    return LatentAttention(
        num_heads=num_heads,
        head_size=head_size,
        value_size=value_size,
        latent_size=config.require("kv_lora_rank", int),
        scale=(head_size + rotary_size) ** -0.5 * _entropy_factor(rope),
        rope=rope,
        latent_norm=norm,
        query_latent_size=query_latent_size,
        query_norm=norm if query_latent_size else None,
        bias=config.get("attention_bias", bool, False),
    )


def _entropy_factor(rope: Rope) -> float:
    scaling = rope.scaling
    if scaling is None or not scaling.mscale_all_dim or scaling.factor <= 1.0:
        return 1.0
    return float((0.1 * scaling.mscale_all_dim * log(scaling.factor) + 1.0) ** 2)
