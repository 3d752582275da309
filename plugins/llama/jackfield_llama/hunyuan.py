"""HunYuan (dense) as data: Llama whose q and k are normed after they rotate."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import ModelSpec, ModuleSource
from jackfield_llama.layers import build, read_norm

_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.mixer.q_norm": ModuleSource("model.layers.{i}.self_attn.query_layernorm"),
    "layers.{i}.mixer.k_norm": ModuleSource("model.layers.{i}.self_attn.key_layernorm"),
}


def hunyuan_dense(config: ConfigReader) -> ModelSpec:
    """Tencent Hunyuan Team 2025."""
    shape = read_shape(config)
    norm = read_norm(config, 1e-5)
    bias = config.get("attention_bias", bool, False)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        q_norm=norm,
        k_norm=norm,
        norm_after_rope=True,
        qkv_bias=bias,
        out_bias=bias,
    )
    forward, mixers = read_feed_forward(config), (mixer,) * shape.num_layers
    return build(config, mixers, forward, norm, modules=_MODULES, end_token_id=2)
