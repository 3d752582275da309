"""Qwen2 and Qwen3 as data."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    Shape,
    make_spec,
    read_activation,
    read_max_length,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm


def qwen2(config: ConfigReader) -> ModelSpec:
    """Yang et al. 2024, Qwen2: Llama with biases on q, k and v, and windows in the upper layers on request."""
    shape = read_shape(config)
    return _build(config, shape, replace(_attention(config, shape), qkv_bias=True))


def qwen3(config: ConfigReader) -> ModelSpec:
    """Yang et al. 2025, Qwen3: norms over the heads of q and k instead of biases."""
    shape = replace(read_shape(config), head_size=config.get("head_dim", int, 128))
    bias = config.get("attention_bias", bool, False)
    norm = _norm(config)
    attention = _attention(config, shape)
    attention = replace(attention, q_norm=norm, k_norm=norm, qkv_bias=bias, out_bias=bias)
    return _build(config, shape, attention)


def _norm(config: ConfigReader) -> Norm:
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))


def _attention(config: ConfigReader, shape: Shape) -> Attention:
    return Attention(
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        head_size=shape.head_size,
        scale=shape.head_size**-0.5,
        rope=read_rope(config, shape.head_size),
    )


def _build(config: ConfigReader, shape: Shape, attention: Attention) -> ModelSpec:
    norm = _norm(config)
    feed_forward = FeedForward(
        size=config.require("intermediate_size", int), activation=read_activation(config)
    )
    layers = tuple(
        Layer(
            mixer=replace(attention, window=window),
            feed_forward=feed_forward,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for window in _windows(config, shape.num_layers)
    )
    assert attention.rope is not None
    max_length = read_max_length(config, attention.rope)
    return make_spec(config, layers=layers, final_norm=norm, max_length=max_length)


def _windows(config: ConfigReader, num_layers: int) -> tuple[int | None, ...]:
    """Windows count only with `use_sliding_window`, and from layer `max_window_layers` on."""
    use = config.get("use_sliding_window", bool, False)
    window = config.get("sliding_window", int, 4096) if use else None
    first = config.get("max_window_layers", int, 28)
    return read_windows(config, num_layers, window, lambda layer: layer >= first)
