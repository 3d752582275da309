"""DeepSeek-V2, DeepSeek-V3 and MiniCPM3 as data."""

from __future__ import annotations

from math import sqrt

from jackfield.interfaces.expert_config import expert_modules, read_grouped_experts
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_activation,
    read_feed_forward,
)
from jackfield.model_spec import (
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    ModelSpec,
    Norm,
    Router,
)
from jackfield_deepseek.latent import LATENT_MODULES, read_latent_attention

_MODULES = {**expert_modules(), **LATENT_MODULES}


def deepseek_v2(config: ConfigReader) -> ModelSpec:
    """DeepSeek-AI 2024 (V2): experts chosen by softmax, from the best groups or from all."""
    config = config.filled(
        kv_lora_rank=512, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        max_position_embeddings=2048,
    )  # fmt: skip
    mixer = read_latent_attention(config, interleaved=True)
    return _build(
        config, mixer, _v2_experts(config), config.get("first_k_dense_replace", int, 0), 2
    )


def deepseek_v3(config: ConfigReader) -> ModelSpec:
    """DeepSeek-AI 2024 (V3): experts chosen by sigmoid, with a bias for balance."""
    config = config.filled(
        kv_lora_rank=512, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128,
        max_position_embeddings=4096,
    )  # fmt: skip
    interleaved = bool(config.nullable("rope_interleave", bool, True))
    mixer = read_latent_attention(config, interleaved=interleaved)
    defaults = {
        "moe_intermediate_size": 2048, "n_shared_experts": 1, "n_routed_experts": 256, "num_experts_per_tok": 8,
        "norm_topk_prob": True, "routed_scaling_factor": 2.5, "n_group": 8, "topk_group": 4,
    }  # fmt: skip
    experts = read_grouped_experts(config, defaults)
    return _build(config, mixer, experts, config.get("first_k_dense_replace", int, 3), 1)


def minicpm3(config: ConfigReader) -> ModelSpec:
    """OpenBMB 2024: latent attention with branches, embeddings and logits scaled by depth and width; no experts."""
    config = config.filled(
        kv_lora_rank=256, q_lora_rank=768, qk_nope_head_dim=64, qk_rope_head_dim=32,
        max_position_embeddings=32_768,
    )  # fmt: skip
    num_layers = config.require("num_hidden_layers", int)
    hidden_size = config.require("hidden_size", int)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    depth = config.nullable("scale_depth", float, 1.4)
    layer = Layer(
        mixer=read_latent_attention(config, interleaved=False),
        feed_forward=read_feed_forward(config, bias=config.get("mlp_bias", bool, False)),
        mixer_norm=norm,
        feed_forward_norm=norm,
        residual_scale=1.0 if depth is None else depth / sqrt(num_layers),
    )
    base = config.nullable("dim_model_base", int, 256)
    return make_spec(
        config,
        layers=(layer,) * num_layers,
        final_norm=norm,
        modules={**STANDARD_MODULES, **LATENT_MODULES},
        tied_head=True,
        end_token_id=2,
        embedding_scale=config.get("scale_emb", float, 12.0),
        logit_scale=1.0 if base is None else base / hidden_size,
    )


def _build(
    config: ConfigReader,
    mixer: LatentAttention,
    experts: Experts,
    num_dense: int,
    end_token_id: int,
) -> ModelSpec:
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))
    dense = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    layers = tuple(
        Layer(
            mixer=mixer,
            feed_forward=dense if layer < num_dense else experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for layer in range(config.require("num_hidden_layers", int))
    )
    return make_spec(
        config, layers=layers, final_norm=norm, modules=_MODULES, end_token_id=end_token_id
    )


def _v2_experts(config: ConfigReader) -> Experts:
    size = config.get("moe_intermediate_size", int, 1407)
    activation = read_activation(config)
    method = config.get("topk_method", str, "greedy")
    if method not in ("greedy", "group_limited_greedy"):
        raise config.refuse("topk_method", method, "greedy, group_limited_greedy")
    in_groups = method == "group_limited_greedy"
    num_shared = config.get("n_shared_experts", int, 2)
    return Experts(
        router=Router(
            num_experts=config.get("n_routed_experts", int, 64),
            top_k=config.require("num_experts_per_tok", int),
            scale=config.get("routed_scaling_factor", float, 1.0),
            num_groups=config.require("n_group", int) if in_groups else 1,
            top_groups=config.require("topk_group", int) if in_groups else 1,
        ),
        expert=FeedForward(size=size, activation=activation),
        shared=FeedForward(size=num_shared * size, activation=activation) if num_shared else None,
    )
