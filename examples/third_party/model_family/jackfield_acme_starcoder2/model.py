"""Starcoder2 as data: biases and layer norms all over, two matrices in the feed-forward, a window if one is set."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_activation,
    read_max_length,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource, Norm

_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.feed_forward.up": ModuleSource("model.layers.{i}.mlp.c_fc"),
    "layers.{i}.feed_forward.down": ModuleSource("model.layers.{i}.mlp.c_proj"),
}


def starcoder2(config: ConfigReader) -> ModelSpec:
    """Lozhkov et al. 2024."""
    shape, bias = read_shape(config), config.get("use_bias", bool, True)
    rope = read_rope(config, shape.head_size)
    norm = Norm(kind="layer", epsilon=config.get("norm_epsilon", float, 1e-5), bias=True)
    layer = Layer(
        mixer=Attention(
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_size=shape.head_size,
            scale=shape.head_size**-0.5,
            rope=rope,
            window=config.get("sliding_window", int),
            qkv_bias=bias,
            out_bias=bias,
        ),
        feed_forward=FeedForward(
            size=config.require("intermediate_size", int),
            activation=read_activation(config, default="gelu_pytorch_tanh"),
            gated=False,
            bias=bias,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=_MODULES,
        tied_head=True,
        max_length=read_max_length(config, rope),
    )
