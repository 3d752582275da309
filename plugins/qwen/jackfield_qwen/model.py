"""Qwen2 and Qwen3 as data."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
    with_classifier,
)
from jackfield.model_spec import Attention, Layer, ModelSpec, Norm

_KV_HEADS = 32  # for configs without the key


def qwen2(config: ConfigReader) -> ModelSpec:
    """Yang et al. 2024, Qwen2: Llama with biases on q, k and v, and windows in the upper layers on request."""
    config = config.filled(max_position_embeddings=32_768)
    shape = read_shape(config, default_kv_heads=_KV_HEADS)
    attention = shape.attention(rope=read_rope(config, shape.head_size), qkv_bias=True)
    return _build(config, attention)


def qwen3(config: ConfigReader) -> ModelSpec:
    """Yang et al. 2025, Qwen3: norms over the heads of q and k instead of biases."""
    config = config.filled(max_position_embeddings=32_768)
    shape = read_shape(config, default_kv_heads=_KV_HEADS)
    shape = replace(shape, head_size=config.get("head_dim", int, 128))
    bias, norm = config.get("attention_bias", bool, False), _norm(config)
    attention = shape.attention(
        rope=read_rope(config, shape.head_size),
        q_norm=norm,
        k_norm=norm,
        qkv_bias=bias,
        out_bias=bias,
    )
    return _build(config, attention)


def qwen2_classifier(config: ConfigReader) -> ModelSpec:
    """Qwen2 with scores for whole texts."""
    return with_classifier(qwen2(config), config)


def qwen3_classifier(config: ConfigReader) -> ModelSpec:
    """Qwen3 with scores for whole texts (rerankers)."""
    return with_classifier(qwen3(config), config)


def _norm(config: ConfigReader) -> Norm:
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))


def _build(config: ConfigReader, attention: Attention) -> ModelSpec:
    norm = _norm(config)
    layer = Layer(
        mixer=attention,
        feed_forward=read_feed_forward(config),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    layers = tuple(
        replace(layer, mixer=replace(attention, window=window)) for window in _windows(config)
    )
    return make_spec(config, layers=layers, final_norm=norm)


def _windows(config: ConfigReader) -> tuple[int | None, ...]:
    """Windows hold only with `use_sliding_window`, from layer `max_window_layers` on."""
    use = config.get("use_sliding_window", bool, False)
    window = config.nullable("sliding_window", int, 4096) if use else None
    first = config.get("max_window_layers", int, 28)
    num_layers = config.require("num_hidden_layers", int)
    return read_windows(config, num_layers, window, lambda layer: layer >= first)
