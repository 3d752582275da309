"""Mixtral as data: Mistral with eight experts in place of each feed-forward."""

from __future__ import annotations

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Experts, ModelSpec, Router
from jackfield_llama.layers import build, read_norm


def mixtral(config: ConfigReader) -> ModelSpec:
    """Jiang et al. 2024."""
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
    modules = expert_modules(block="block_sparse_moe", gate="w1", up="w3", down="w2")
    mixers, norm = (mixer,) * shape.num_layers, read_norm(config, 1e-5)
    return build(config, mixers, experts, norm, modules=modules, end_token_id=2)
