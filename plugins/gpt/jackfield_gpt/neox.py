"""GPT-NeoX and Persimmon as data: q, k and v fused head by head."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm
from jackfield_gpt.parts import block, fused_by_group, read_layer_norm

_NEOX_LAYER = {
    "mixer_norm": "input_layernorm",
    "mixer.o": "attention.dense",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.up": "mlp.dense_h_to_4h",
    "feed_forward.down": "mlp.dense_4h_to_h",
}
_PERSIMMON_LAYER = {
    **_NEOX_LAYER,
    "mixer.o": "self_attn.dense",
    "mixer.q_norm": "self_attn.q_layernorm",
    "mixer.k_norm": "self_attn.k_layernorm",
}


def gpt_neox(config: ConfigReader) -> ModelSpec:
    """Black et al. 2022; Pythia too."""
    shape = read_shape(config)
    norm = read_layer_norm(config, "layer_norm_eps")
    bias = config.get("attention_bias", bool, True)
    share = config.get("rotary_pct", float, 0.25)
    theta = config.get("rotary_emb_base", float, 10_000.0)
    rope = read_rope(config, shape.head_size, default_share=share, default_theta=theta)
    layer = Layer(
        mixer=shape.attention(rope=rope, qkv_bias=bias, out_bias=bias),
        feed_forward=read_feed_forward(config, activation="gelu", gated=False, bias=True),
        mixer_norm=norm,
        feed_forward_norm=norm,
        parallel=config.get("use_parallel_residual", bool, True),
    )
    prefix = "gpt_neox.layers.{i}"
    modules = {
        "embedding": ModuleSource("gpt_neox.embed_in"),
        **block(prefix, _NEOX_LAYER),
        **fused_by_group(
            f"{prefix}.attention.query_key_value", shape.num_heads, (shape.head_size,) * 3
        ),
        "final_norm": ModuleSource("gpt_neox.final_layer_norm"),
        "head": ModuleSource("embed_out"),
    }
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=modules,
        end_token_id=2,
    )


def persimmon(config: ConfigReader) -> ModelSpec:
    """Elsen et al. 2023: norms over the heads of q and k, squared relu, half of each head rotates."""
    shape = read_shape(config)
    norm = read_layer_norm(config, "layer_norm_eps")
    head_norm: Norm | None = norm if config.get("qk_layernorm", bool, True) else None
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size, default_share=0.5),
            q_norm=head_norm,
            k_norm=head_norm,
            qkv_bias=True,
            out_bias=True,
        ),
        feed_forward=read_feed_forward(config, activation="relu2", gated=False, bias=True),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    prefix = "model.layers.{i}"
    modules = {
        "embedding": ModuleSource("model.embed_tokens"),
        **block(prefix, _PERSIMMON_LAYER),
        **fused_by_group(
            f"{prefix}.self_attn.query_key_value", shape.num_heads, (shape.head_size,) * 3
        ),
        "final_norm": ModuleSource("model.final_layernorm"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=modules,
        end_token_id=2,
    )
