"""Starcoder2 as data: biases and layer norms everywhere, a feed-forward of two matrices, and a window if one is set."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm

_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.feed_forward.up": ModuleSource("model.layers.{i}.mlp.c_fc"),
    "layers.{i}.feed_forward.down": ModuleSource("model.layers.{i}.mlp.c_proj"),
}


def starcoder2(config: ConfigReader) -> ModelSpec:
    """Lozhkov et al. 2024."""
    shape, bias = read_shape(config, default_kv_heads=2), config.get("use_bias", bool, True)
    norm = Norm(kind="layer", epsilon=config.get("norm_epsilon", float, 1e-5), bias=True)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        window=config.get("sliding_window", int),
        qkv_bias=bias,
        out_bias=bias,
    )
    forward = read_feed_forward(config, activation="gelu_pytorch_tanh", gated=False, bias=bias)
    layer = Layer(mixer=mixer, feed_forward=forward, mixer_norm=norm, feed_forward_norm=norm)
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=_MODULES,
        tied_head=True,
        end_token_id=50256,
    )
