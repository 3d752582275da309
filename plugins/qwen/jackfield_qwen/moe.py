"""Qwen2-MoE and Qwen3-MoE as data: experts in all layers except those that the config leaves dense."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_activation,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import (
    Attention,
    Experts,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Router,
)

SHARED_MODULES = {
    **expert_modules(shared="shared_expert"),
    "layers.{i}.feed_forward.shared_gate": ModuleSource("model.layers.{i}.mlp.shared_expert_gate"),
}


def qwen2_moe(config: ConfigReader) -> ModelSpec:
    """Qwen Team 2024: a shared expert with a gate of its own, beside the chosen experts."""
    config = config.filled(max_position_embeddings=32_768)
    shape = read_shape(config, default_kv_heads=16)
    attention = shape.attention(
        rope=read_rope(config, shape.head_size), qkv_bias=config.get("qkv_bias", bool, True)
    )
    use = config.get("use_sliding_window", bool, False)
    window = config.nullable("sliding_window", int, 4096) if use else None
    last = config.get("max_window_layers", int, 28)
    windows = read_windows(
        config, shape.num_layers, window, lambda layer: layer % 2 == 0 and layer < last
    )
    shared = read_forward(config, config.get("shared_expert_intermediate_size", int, 5632))
    experts = Experts(
        router=read_router(config, num_experts=60, top_k=4),
        expert=read_forward(config, config.get("moe_intermediate_size", int, 1408)),
        shared=shared,
        shared_gate=True,
    )
    mixers = tuple(replace(attention, window=window) for window in windows)
    return _build(config, mixers, experts)


def qwen3_moe(config: ConfigReader) -> ModelSpec:
    """Yang et al. 2025: norms over the heads of q and k, no shared expert."""
    config = config.filled(max_position_embeddings=32_768)
    shape = read_shape(config, default_kv_heads=4)
    bias, norm = config.get("attention_bias", bool, False), _norm(config)
    use = config.get("use_sliding_window", bool, False)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        window=config.nullable("sliding_window", int, 4096) if use else None,
        q_norm=norm,
        k_norm=norm,
        qkv_bias=bias,
        out_bias=bias,
    )
    experts = Experts(
        router=read_router(config, num_experts=128, top_k=8),
        expert=read_forward(config, config.get("moe_intermediate_size", int, 768)),
    )
    return _build(config, (mixer,) * shape.num_layers, experts)


def _norm(config: ConfigReader) -> Norm:
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))


def read_forward(config: ConfigReader, size: int) -> FeedForward:
    return FeedForward(size=size, activation=read_activation(config))


def read_router(config: ConfigReader, *, num_experts: int, top_k: int) -> Router:
    count = config.get("num_experts", int, num_experts)
    return Router(
        num_experts=config.get("num_local_experts", int, count),  # the name in Transformers 5
        top_k=config.get("num_experts_per_tok", int, top_k),
        renormalise=config.get("norm_topk_prob", bool, False),
    )


def _build(config: ConfigReader, mixers: tuple[Attention, ...], experts: Experts) -> ModelSpec:
    norm, dense = _norm(config), read_feed_forward(config)
    step, left_out = (
        config.get("decoder_sparse_step", int, 1),
        config.get("mlp_only_layers", list, []),
    )
    layers = tuple(
        Layer(
            mixer=mixer,
            feed_forward=dense if index in left_out or (index + 1) % step else experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for index, mixer in enumerate(mixers)
    )
    return make_spec(config, layers=layers, final_norm=norm, modules=SHARED_MODULES)
