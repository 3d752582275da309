"""Gemma 1, 2 and 3 (text) as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    Shape,
    make_rope,
    make_spec,
    read_activation,
    read_max_length,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource, Norm

# Gemma 2 and 3 put a norm before and after each half of a layer, under names that Llama uses otherwise.
_SANDWICH_MODULES: Mapping[str, ModuleSource] = {
    **STANDARD_MODULES,
    "layers.{i}.mixer_post_norm": ModuleSource("model.layers.{i}.post_attention_layernorm"),
    "layers.{i}.feed_forward_norm": ModuleSource("model.layers.{i}.pre_feedforward_layernorm"),
    "layers.{i}.feed_forward_post_norm": ModuleSource(
        "model.layers.{i}.post_feedforward_layernorm"
    ),
}


def gemma(config: ConfigReader) -> ModelSpec:
    """Gemma Team 2024, Gemma: Llama with scaled embeddings, norms stored minus one, and gelu."""
    shape = _shape(config)
    rope = read_rope(config, shape.head_size)
    norm = _norm(config)
    attention = replace(_attention(config, shape, shape.head_size), rope=rope)
    layer = Layer(
        mixer=attention,
        # `hidden_act` says gelu in the first releases, which always meant the approximation by tanh
        feed_forward=FeedForward(
            size=config.require("intermediate_size", int), activation="gelu_tanh"
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        tied_head=True,
        max_length=read_max_length(config, rope),
        embedding_scale=math.sqrt(shape.hidden_size),
    )


def gemma2(config: ConfigReader) -> ModelSpec:
    """Gemma Team 2024, Gemma 2: sandwich norms, soft caps, windows in every second layer."""
    shape = _shape(config)
    rope = read_rope(config, shape.head_size)
    attention = replace(
        _attention(config, shape, config.get("query_pre_attn_scalar", float, 256.0)),
        rope=rope,
        soft_cap=_cap(config, "attn_logit_softcapping", 50.0),
    )
    window = config.get("sliding_window", int, 4096)
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer % 2 == 0)
    layers = tuple(_sandwich(config, replace(attention, window=size)) for size in windows)
    return _build(config, shape, layers, read_max_length(config, rope), cap=30.0)


def gemma3(config: ConfigReader) -> ModelSpec:
    """Gemma Team 2025, Gemma 3: norms over q and k, and two ropes: windows turn faster than full attention."""
    if config.get("attn_logit_softcapping", float) is not None:
        raise config.refuse(
            "attn_logit_softcapping", config.values["attn_logit_softcapping"], "null"
        )
    shape = _shape(config)
    norm = _norm(config)
    attention = replace(
        _attention(config, shape, config.get("query_pre_attn_scalar", float, 256.0)),
        q_norm=norm,
        k_norm=norm,
    )
    full, local = (make_rope(config, shape.head_size, table) for table in _rope_tables(config))
    pattern = config.get("sliding_window_pattern", int, 6)
    window = config.get("sliding_window", int, 4096)
    windows = read_windows(
        config, shape.num_layers, window, lambda layer: (layer + 1) % pattern > 0
    )
    layers = tuple(
        _sandwich(config, replace(attention, window=size, rope=local if size else full))
        for size in windows
    )
    # max_position_embeddings already counts the scaling of the full layers
    max_length = config.get("max_position_embeddings", int, 131_072)
    return _build(config, shape, layers, max_length, cap=None)


def _shape(config: ConfigReader) -> Shape:
    if config.get("use_bidirectional_attention", bool, False):
        raise config.refuse("use_bidirectional_attention", True, "false")
    return replace(read_shape(config), head_size=config.get("head_dim", int, 256))


def _norm(config: ConfigReader) -> Norm:
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-6), weight_offset=1.0)


def _cap(config: ConfigReader, key: str, default: float | None) -> float | None:
    """A soft cap: absent means the family's default, null means none."""
    return config.get(key, float) if key in config.values else default


def _attention(config: ConfigReader, shape: Shape, scale_size: float) -> Attention:
    bias = config.get("attention_bias", bool, False)
    return Attention(
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        head_size=shape.head_size,
        scale=scale_size**-0.5,
        qkv_bias=bias,
        out_bias=bias,
    )


def _rope_tables(config: ConfigReader) -> tuple[dict[str, Any], dict[str, Any]]:
    """For full attention and for windows. Older configs scale only the first and keep two keys for the bases."""
    tables = config.get("rope_parameters", dict, {})
    full = {
        "rope_theta": config.get("rope_theta", float, 1_000_000.0),
        **config.get("rope_scaling", dict, {}),
        **(tables.get("full_attention") or {}),
    }
    local = {
        "rope_theta": config.get("rope_local_base_freq", float, 10_000.0),
        **(tables.get("sliding_attention") or {}),
    }
    return full, local


def _sandwich(config: ConfigReader, attention: Attention) -> Layer:
    norm = _norm(config)
    return Layer(
        mixer=attention,
        feed_forward=FeedForward(
            size=config.require("intermediate_size", int),
            activation=read_activation(config, "hidden_activation", "gelu_pytorch_tanh"),
        ),
        mixer_norm=norm,
        mixer_post_norm=norm,
        feed_forward_norm=norm,
        feed_forward_post_norm=norm,
    )


def _build(
    config: ConfigReader,
    shape: Shape,
    layers: tuple[Layer, ...],
    max_length: int,
    cap: float | None,
) -> ModelSpec:
    return make_spec(
        config,
        layers=layers,
        final_norm=_norm(config),
        modules=_SANDWICH_MODULES,
        tied_head=True,
        max_length=max_length,
        embedding_scale=math.sqrt(shape.hidden_size),
        logit_soft_cap=_cap(config, "final_logit_softcapping", cap),
    )
