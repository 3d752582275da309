"""Nemotron and Jais 2 as data: Llama's layout with layer norms."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec
from jackfield_gpt.parts import read_layer_norm


def nemotron(config: ConfigReader) -> ModelSpec:
    """Parmar et al. 2024: layer norms stored minus one, squared relu, half of each head rotates."""
    shape = read_shape(config)
    norm = replace(read_layer_norm(config, "norm_eps"), weight_offset=1.0)
    bias = config.get("attention_bias", bool, False)
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size, default_share=0.5),
            qkv_bias=bias,
            out_bias=bias,
        ),
        feed_forward=read_feed_forward(
            config, activation="relu2", gated=False, bias=config.get("mlp_bias", bool, False)
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    layers = (layer,) * shape.num_layers
    return make_spec(config, layers=layers, final_norm=norm, end_token_id=3)


def jais2(config: ConfigReader) -> ModelSpec:
    """Inception 2025: layer norms, squared relu, and biases in all linears."""
    shape = read_shape(config, default_kv_heads=26)
    norm = read_layer_norm(config, "layer_norm_eps")
    bias = config.get("attention_bias", bool, True)
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size), qkv_bias=bias, out_bias=bias
        ),
        feed_forward=read_feed_forward(
            config, activation="relu2", gated=False, bias=config.get("mlp_bias", bool, True)
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    layers = (layer,) * shape.num_layers
    return make_spec(config, layers=layers, final_norm=norm, end_token_id=150024)
