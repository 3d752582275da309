"""SmolLM3 as data: every fourth layer has no positions."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import ModelSpec
from jackfield_llama.layers import build, read_norm


def smollm3(config: ConfigReader) -> ModelSpec:
    """Bakouch et al. 2025; `no_rope_layers` has 1 for each layer that rotates."""
    shape = read_shape(config, default_kv_heads=4)
    step = config.get("no_rope_layer_interval", int, 4)
    rotates = config.get("no_rope_layers", list) or [
        (layer + 1) % step != 0 for layer in range(shape.num_layers)
    ]
    if len(rotates) != shape.num_layers:
        allowed = f"one entry for each of the {shape.num_layers} layers"
        raise config.refuse("no_rope_layers", rotates, allowed)
    use = config.get("use_sliding_window", bool, False)
    window = config.get("sliding_window", int) if use else None
    windows = (
        read_windows(config, shape.num_layers, window, lambda layer: not rotates[layer])
        if use
        else (None,) * shape.num_layers
    )
    rope = read_rope(config, shape.head_size, default_theta=2e6)
    bias = config.get("attention_bias", bool, False)
    mixers = tuple(
        shape.attention(rope=rope if turns else None, window=size, qkv_bias=bias, out_bias=bias)
        for turns, size in zip(rotates, windows, strict=True)
    )
    forward = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    norm = read_norm(config)
    return build(config, mixers, forward, norm, tied_head=True, end_token_id=128001)
