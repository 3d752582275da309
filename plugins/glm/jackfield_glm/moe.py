"""GLM-4.5 as data: the experts of DeepSeek-V3, and attention in which half of each head rotates."""

from __future__ import annotations

from jackfield.interfaces.expert_config import expert_modules, read_grouped_experts
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_feed_forward, read_rope, read_shape
from jackfield.model_spec import Layer, ModelSpec, Norm

_DEFAULTS = {
    "n_routed_experts": 128,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "moe_intermediate_size": 1408,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.0,
    "n_group": 1,
    "topk_group": 1,
}


def glm4_moe(config: ConfigReader) -> ModelSpec:
    """GLM Team 2025 (4.5, 4.6)."""
    config = config.filled(max_position_embeddings=131_072)
    shape = read_shape(config, default_kv_heads=8)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    head_norm = norm if config.get("use_qk_norm", bool, False) else None
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size, default_share=0.5),
        qkv_bias=config.get("attention_bias", bool, False),
        q_norm=head_norm,
        k_norm=head_norm,
    )
    experts, dense = read_grouped_experts(config, _DEFAULTS), read_feed_forward(config)
    num_dense = config.get("first_k_dense_replace", int, 1)
    layers = tuple(
        Layer(
            mixer=mixer,
            feed_forward=dense if index < num_dense else experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for index in range(shape.num_layers)
    )
    return make_spec(config, layers=layers, final_norm=norm, modules=expert_modules())
