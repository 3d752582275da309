"""HunYuan (dense) as data: Llama with norms on q and k after the rotation."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    Shape,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Attention, ModelSpec, ModuleSource
from jackfield_llama.layers import build, read_norm

HEAD_NORMS = {
    "layers.{i}.mixer.q_norm": ModuleSource("model.layers.{i}.self_attn.query_layernorm"),
    "layers.{i}.mixer.k_norm": ModuleSource("model.layers.{i}.self_attn.key_layernorm"),
}


def hunyuan_dense(config: ConfigReader) -> ModelSpec:
    """Tencent Hunyuan Team 2025."""
    shape = read_shape(config)
    forward, mixers = read_feed_forward(config), (read_mixer(config, shape),) * shape.num_layers
    modules = {**STANDARD_MODULES, **HEAD_NORMS}
    norm = read_norm(config, 1e-5)
    return build(config, mixers, forward, norm, modules=modules, end_token_id=2)


def read_mixer(config: ConfigReader, shape: Shape) -> Attention:
    """The attention of all layers."""
    norm = read_norm(config, 1e-5)
    bias = config.get("attention_bias", bool, False)
    return shape.attention(
        rope=read_rope(config, shape.head_size),
        q_norm=norm,
        k_norm=norm,
        norm_after_rope=True,
        qkv_bias=bias,
        out_bias=bias,
    )
