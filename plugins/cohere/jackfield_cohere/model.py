"""Command R and R7B (Cohere 1 and 2) as data: both halves of a layer read one norm, and logits are scaled."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    Shape,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Attention, Layer, ModelSpec, Norm


def cohere(config: ConfigReader) -> ModelSpec:
    """Cohere 2024; with `use_qk_norm` each head of q and k has a norm of its own."""
    shape = read_shape(config)
    rope = read_rope(config, shape.head_size, default_theta=500_000.0)
    norm = _norm(config) if config.get("use_qk_norm", bool, False) else None
    mixer = shape.attention(
        rope=replace(rope, interleaved=True),
        q_norm=norm,
        k_norm=norm,
        head_weights=norm is not None,
        **_biases(config),
    )
    return _build(config, shape, (mixer,) * shape.num_layers)


def cohere2(config: ConfigReader) -> ModelSpec:
    """Cohere 2025: three of four layers have windows and rope, the others see all tokens and have no positions."""
    shape = read_shape(config)
    rope = replace(read_rope(config, shape.head_size), interleaved=True)
    window = config.nullable("sliding_window", int, 4096)
    pattern = config.get("sliding_window_pattern", int, 4)
    windows = read_windows(
        config, shape.num_layers, window, lambda layer: (layer + 1) % pattern != 0
    )
    mixers = tuple(
        shape.attention(window=size, rope=rope if size else None, **_biases(config))
        for size in windows
    )
    return _build(config, shape, mixers)


def _norm(config: ConfigReader) -> Norm:
    return Norm(kind="layer", epsilon=config.get("layer_norm_eps", float, 1e-5))


def _biases(config: ConfigReader) -> dict[str, bool]:
    bias = config.get("attention_bias", bool, False)
    return {"qkv_bias": bias, "out_bias": bias}


def _build(config: ConfigReader, shape: Shape, mixers: tuple[Attention, ...]) -> ModelSpec:
    norm, forward = _norm(config), read_feed_forward(config)
    layers = tuple(
        Layer(
            mixer=mixer,
            feed_forward=forward,
            mixer_norm=norm,
            feed_forward_norm=None,
            parallel=True,
        )
        for mixer in mixers
    )
    return make_spec(
        config,
        layers=layers,
        final_norm=norm,
        tied_head=True,
        end_token_id=255001,
        logit_scale=config.get("logit_scale", float, 0.0625),
    )
