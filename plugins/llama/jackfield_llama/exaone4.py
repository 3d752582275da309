"""Exaone 4 as data: norms only after each half of a layer, and positions only in layers with windows."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource
from jackfield_llama.layers import read_norm

_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.mixer_post_norm": ModuleSource("model.layers.{i}.post_attention_layernorm"),
    "layers.{i}.feed_forward_post_norm": ModuleSource(
        "model.layers.{i}.post_feedforward_layernorm"
    ),
}


def exaone4(config: ConfigReader) -> ModelSpec:
    """LG AI Research 2025. Without `sliding_window` all layers see all tokens and rotate."""
    shape = read_shape(config, default_kv_heads=32)
    norm = read_norm(config, 1e-5)
    window = config.nullable("sliding_window", int, 4096)
    pattern = config.get("sliding_window_pattern", int, 4)
    windows = (
        read_windows(config, shape.num_layers, window, lambda layer: (layer + 1) % pattern != 0)
        if window is not None
        else (None,) * shape.num_layers
    )
    rope = read_rope(config, shape.head_size)
    forward = read_feed_forward(config)
    layers = tuple(
        Layer(
            mixer=shape.attention(
                rope=rope if window is None or size else None,
                window=size,
                q_norm=norm,
                k_norm=norm,
            ),
            feed_forward=forward,
            mixer_norm=None,
            feed_forward_norm=None,
            mixer_post_norm=norm,
            feed_forward_post_norm=norm,
        )
        for size in windows
    )
    return make_spec(config, layers=layers, final_norm=norm, modules=_MODULES, end_token_id=2)
