"""Mixtral and MiniMax-M2 as data: experts instead of each feed-forward."""

from __future__ import annotations

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Experts, ModelSpec, Router
from jackfield_llama.layers import build, read_norm

_MODULES = expert_modules(
    block="block_sparse_moe",
    choice_bias="e_score_correction_bias",
    gate="w1",
    up="w3",
    down="w2",
)


def mixtral(config: ConfigReader) -> ModelSpec:
    """Jiang et al. 2024: Mistral with eight experts, two of which are chosen."""
    config = config.filled(max_position_embeddings=131_072)
    shape = read_shape(config, default_kv_heads=8)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size, default_theta=1e6),
        window=config.get("sliding_window", int),
    )
    router = Router(
        num_experts=config.get("num_local_experts", int, 8),
        top_k=config.get("num_experts_per_tok", int, 2),
        renormalise=True,
    )
    experts = Experts(router=router, expert=read_feed_forward(config))
    mixers, norm = (mixer,) * shape.num_layers, read_norm(config, 1e-5)
    return build(config, mixers, experts, norm, modules=_MODULES, end_token_id=2)


def minimax_m2(config: ConfigReader) -> ModelSpec:
    """MiniMax 2025: norms over all heads together, partly rotated heads, a sigmoid router with a bias for balance."""
    config = config.filled(max_position_embeddings=196_608)
    shape = read_shape(config, default_kv_heads=8, default_head_size=128)
    norm = read_norm(config)
    share = config.get("rotary_dim", int, shape.head_size) / shape.head_size
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size, default_theta=5e6, default_share=share),
        q_norm=norm,
        k_norm=norm,
        joint_norms=True,
    )
    router = Router(
        num_experts=config.get("num_local_experts", int, 256),
        top_k=config.get("num_experts_per_tok", int, 8),
        scoring="sigmoid",
        renormalise=True,
        choice_bias=True,
    )
    experts = Experts(router=router, expert=read_feed_forward(config))
    mixers = (mixer,) * shape.num_layers
    return build(config, mixers, experts, norm, modules=_MODULES, end_token_id=200_020)
