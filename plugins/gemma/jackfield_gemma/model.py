"""Gemma 1, 2 and 3 (text) as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    Shape,
    make_rope,
    make_spec,
    read_activation,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Attention, Layer, ModelSpec, ModuleSource, Norm

_END = 1  # for configs without the key
# Gemma 2 and 3 have norms before and after each half of a layer. Llama uses one of their names for another norm.
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
    config = config.filled(max_position_embeddings=8192)
    shape = _shape(config, default_kv_heads=16)
    norm = _norm(config)
    layer = Layer(
        mixer=_attention(config, shape, shape.head_size, rope=read_rope(config, shape.head_size)),
        feed_forward=replace(read_feed_forward(config), activation=_activation(config)),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        tied_head=True,
        end_token_id=_END,
        embedding_scale=math.sqrt(shape.hidden_size),
    )


def gemma2(config: ConfigReader) -> ModelSpec:
    """Gemma Team 2024, Gemma 2: sandwich norms, soft caps, windows in every second layer."""
    config = config.filled(max_position_embeddings=8192)
    shape = _shape(config, default_kv_heads=4)
    attention = _attention(
        config,
        shape,
        config.get("query_pre_attn_scalar", float, 256.0),
        rope=read_rope(config, shape.head_size),
        soft_cap=config.nullable("attn_logit_softcapping", float, 50.0),
    )
    windows = _windows(config, shape.num_layers, lambda layer: layer % 2 == 0)
    layers = tuple(_sandwich(config, replace(attention, window=size)) for size in windows)
    return _build(config, shape, layers, cap=30.0)


def gemma3(config: ConfigReader) -> ModelSpec:
    """Gemma Team 2025, Gemma 3: norms over q and k, and two ropes, of which windows use the faster one."""
    config = config.filled(max_position_embeddings=131_072)
    if config.get("attn_logit_softcapping", float) is not None:
        raise config.refuse(
            "attn_logit_softcapping", config.values["attn_logit_softcapping"], "null"
        )
    shape = _shape(config, default_kv_heads=4)
    norm = _norm(config)
    scale_size = config.get("query_pre_attn_scalar", float, 256.0)
    attention = _attention(config, shape, scale_size, q_norm=norm, k_norm=norm)
    full, local = (make_rope(config, shape.head_size, table) for table in _rope_tables(config))
    pattern = config.get("sliding_window_pattern", int, 6)
    windows = _windows(config, shape.num_layers, lambda layer: (layer + 1) % pattern > 0)
    layers = tuple(
        _sandwich(config, replace(attention, window=size, rope=local if size else full))
        for size in windows
    )
    # max_position_embeddings already includes the scaling of the full layers.
    max_length = config.get("max_position_embeddings", int, 131_072)
    return _build(config, shape, layers, cap=None, max_length=max_length)


def _shape(config: ConfigReader, default_kv_heads: int) -> Shape:
    if config.get("use_bidirectional_attention", bool, False):
        raise config.refuse("use_bidirectional_attention", True, "false")
    shape = read_shape(config, default_kv_heads=default_kv_heads)
    return replace(shape, head_size=config.get("head_dim", int, 256))


def _windows(
    config: ConfigReader, num_layers: int, is_window: Callable[[int], bool]
) -> tuple[int | None, ...]:
    window = config.nullable("sliding_window", int, 4096)
    if window is None and config.get("layer_types", list) is None:
        raise config.refuse("sliding_window", None, "tokens; without windows, layer_types say so")
    return read_windows(config, num_layers, window, is_window)


def _norm(config: ConfigReader) -> Norm:
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-6), weight_offset=1.0)


def _activation(config: ConfigReader) -> str:
    """`hidden_act`, which is gelu in the first releases but always meant the tanh approximation.

    Versions of Transformers disagree on which key counts, so `hidden_activation` must have the same value.
    """
    kind = read_activation(config, "hidden_act", "gelu_pytorch_tanh")
    kind = "gelu_tanh" if kind == "gelu" else kind
    newer = config.get("hidden_activation", str)
    if newer is not None and read_activation(config, "hidden_activation") != kind:
        raise config.refuse("hidden_activation", newer, f"null, or what hidden_act says: {kind}")
    return kind


def _attention(config: ConfigReader, shape: Shape, scale_size: float, **changes: Any) -> Attention:
    bias = config.get("attention_bias", bool, False)
    return shape.attention(scale=scale_size**-0.5, qkv_bias=bias, out_bias=bias, **changes)


def _rope_tables(config: ConfigReader) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables for full attention and for windows. Older configs scale only the first, and have two keys for the
    bases.
    """
    tables = ConfigReader(
        {**config.get("rope_parameters", dict, {}), "architectures": [config.architecture]}
    )
    full = {
        "rope_theta": config.get("rope_theta", float, 1_000_000.0),
        **config.get("rope_scaling", dict, {}),
        **tables.get("full_attention", dict, {}),
    }
    local = {
        "rope_theta": config.get("rope_local_base_freq", float, 10_000.0),
        **tables.get("sliding_attention", dict, {}),
    }
    return full, local


def _sandwich(config: ConfigReader, attention: Attention) -> Layer:
    norm = _norm(config)
    return Layer(
        mixer=attention,
        feed_forward=read_feed_forward(
            config, key="hidden_activation", activation="gelu_pytorch_tanh"
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
    *,
    cap: float | None,
    **changes: Any,
) -> ModelSpec:
    return make_spec(
        config,
        layers=layers,
        final_norm=_norm(config),
        modules=_SANDWICH_MODULES,
        tied_head=True,
        end_token_id=_END,
        embedding_scale=math.sqrt(shape.hidden_size),
        logit_soft_cap=config.nullable("final_logit_softcapping", float, cap),
        **changes,
    )
