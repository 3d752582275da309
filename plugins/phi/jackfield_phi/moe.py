"""Phi-3.5-MoE as data: layer norms, biases, and a router that chooses one expert after the other."""

from __future__ import annotations

from typing import Any

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Experts, Layer, ModelSpec, Norm, Router

_MODULES = expert_modules(block="block_sparse_moe", gate="w1", up="w3", down="w2")
_TABLES = ("rope_scaling", "rope_parameters")


def phimoe(config: ConfigReader) -> ModelSpec:
    """Abdin et al. 2024 (Phi-3.5), with the router of Liu et al. 2024 (GRIN)."""
    config = _with_attention_factor(config.filled(max_position_embeddings=131_072))
    shape = read_shape(config, default_kv_heads=8)
    norm = Norm(kind="layer", epsilon=config.get("rms_norm_eps", float, 1e-5), bias=True)
    bias = config.get("attention_bias", bool, False)
    router = Router(
        num_experts=config.get("num_local_experts", int, 16),
        top_k=config.get("num_experts_per_tok", int, 2),
        scoring="sparse_mixer",
        jitter=config.get("router_jitter_noise", float, 0.01),
    )
    if router.top_k != 2:
        raise config.refuse("num_experts_per_tok", router.top_k, "2")
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size, default_theta=1e6),
            window=config.get("sliding_window", int),
            qkv_bias=bias,
            out_bias=bias,
        ),
        feed_forward=Experts(router=router, expert=read_feed_forward(config)),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=_MODULES,
        end_token_id=2,
        head_bias=config.get("lm_head_bias", bool, False),
    )


def _with_attention_factor(config: ConfigReader) -> ConfigReader:
    """Phi has two factors of sines and cosines, for short and long texts; the spec has one."""
    changes: dict[str, Any] = {}
    for key in _TABLES:
        table = config.get(key, dict, {})
        short, long = table.get("short_mscale"), table.get("long_mscale")
        if short != long:
            raise config.refuse("long_mscale", long, f"the value of short_mscale, {short}")
        if short is not None:
            changes[key] = {**table, "attention_factor": short}
    return ConfigReader({**config.values, **changes}) if changes else config
