"""A mixture of experts that no member has, as one function: EXAONE MoE, with DeepSeek-V3's router under other keys."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules, read_grouped_experts
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Layer, ModelSpec, Norm

DEFAULTS = {
    "moe_intermediate_size": 1024,
    "num_experts_per_tok": 8,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "n_group": 1,
    "topk_group": 1,
}


def exaone_moe(config: ConfigReader) -> ModelSpec:
    """Only layers with windows rotate, and the first layer is dense."""
    config = config.filled(
        n_routed_experts=config.get("num_experts", int, 64),
        n_shared_experts=config.get("num_shared_experts", int, 1),
    )
    shape = read_shape(config, default_kv_heads=32)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    window = config.get("sliding_window", int, 4096)
    pattern = config.get("sliding_window_pattern", int, 4)
    windows = read_windows(
        config, shape.num_layers, window, lambda layer: (layer + 1) % pattern > 0
    )
    dense, experts = read_feed_forward(config), read_grouped_experts(config, DEFAULTS)
    num_dense = config.get("first_k_dense_replace", int, 1)
    mixer = shape.attention(rope=read_rope(config, shape.head_size), q_norm=norm, k_norm=norm)
    layers = tuple(
        Layer(
            mixer=replace(mixer, window=size, rope=mixer.rope if size else None),
            feed_forward=dense if index < num_dense else experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for index, size in enumerate(windows)
    )
    modules = expert_modules(choice_bias="e_score_correction_bias")
    return make_spec(config, layers=layers, final_norm=norm, modules=modules, end_token_id=53)
