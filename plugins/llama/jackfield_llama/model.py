"""Llama and Mistral as data, and the families that differ from them in defaults, biases or windows. SmolLM is a Llama."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    Shape,
    make_rope,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
    with_classifier,
)
from jackfield.model_spec import ModelSpec
from jackfield_llama.layers import build, read_norm


def llama(config: ConfigReader) -> ModelSpec:
    """Touvron et al. 2023, and later models whose scaled ropes read longer texts."""
    config = config.filled(max_position_embeddings=2048)
    return _llama(config, read_shape(config))


def llama_classifier(config: ConfigReader) -> ModelSpec:
    """Llama with scores for whole texts."""
    return with_classifier(llama(config), config)


def internlm3(config: ConfigReader) -> ModelSpec:
    """InternLM Team 2025: Llama under other names for its biases."""
    values = dict(config.values)
    for key, name in (("qkv_bias", "attention_bias"), ("bias", "mlp_bias")):
        if key in values:
            values.setdefault(name, values[key])
    config = ConfigReader(values)
    shape = read_shape(config, default_kv_heads=2, default_head_size=128)
    return _llama(config, shape, epsilon=1e-5)


def iquest_coder(config: ConfigReader) -> ModelSpec:
    """IQuestLab 2026: Llama."""
    shape = read_shape(config, default_kv_heads=8, default_head_size=128)
    return _llama(config, shape, epsilon=1e-5)


def mistral(config: ConfigReader) -> ModelSpec:
    """Jiang et al. 2023: Llama with a sliding window in every layer, unless `sliding_window` is null."""
    config = config.filled(max_position_embeddings=131_072)
    window = config.nullable("sliding_window", int, 4096)
    shape = read_shape(config, default_kv_heads=8)
    return _windowed(config, shape, (window,) * shape.num_layers)


def ministral(config: ConfigReader) -> ModelSpec:
    """Mistral AI 2024: Mistral with windows that may differ between layers."""
    window = config.nullable("sliding_window", int, 4096)
    shape = read_shape(config, default_kv_heads=8)
    return _windowed(config, shape, read_windows(config, shape.num_layers, window, lambda _: True))


def cwm(config: ConfigReader) -> ModelSpec:
    """FAIR CodeGen Team 2025: Llama with windows in three of four layers, and a scaled rope in all."""
    shape = read_shape(config, default_head_size=128, default_kv_heads=8)
    window = config.nullable("sliding_window", int, 8192)
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer % 4 != 0)
    norm = read_norm(config, 1e-5)
    rope = read_rope(config, shape.head_size, default_theta=1e6)
    if not (config.get("rope_parameters", dict) or config.get("rope_scaling", dict)):
        table = {"rope_theta": config.get("rope_theta", float, 1e6), **_CWM_ROPE}
        rope = make_rope(config, shape.head_size, table)
    mixers = tuple(shape.attention(rope=rope, window=size) for size in windows)
    forward = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    ends = (128001, 128008, 128009)
    given = {} if config.values.get("eos_token_id") is not None else {"end_token_ids": ends}
    return build(config, mixers, forward, norm, **given)


_CWM_ROPE = {
    "rope_type": "llama3",
    "factor": 16.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192,
}


def arcee(config: ConfigReader) -> ModelSpec:
    """Arcee AI 2025: Llama with two matrices in the feed-forward and a squared relu between them."""
    shape = read_shape(config)
    norm, rope = read_norm(config, 1e-5), read_rope(config, shape.head_size)
    bias = config.get("attention_bias", bool, False)
    mixer = shape.attention(rope=rope, qkv_bias=bias, out_bias=bias)
    forward = read_feed_forward(
        config, activation="relu2", gated=False, bias=config.get("mlp_bias", bool, False)
    )
    return build(config, (mixer,) * shape.num_layers, forward, norm, end_token_id=128001)


def seed_oss(config: ConfigReader) -> ModelSpec:
    """ByteDance Seed Team 2025: Llama with biases on q, k and v."""
    shape = read_shape(config, default_kv_heads=8, default_head_size=128)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        qkv_bias=config.get("attention_bias", bool, True),
        out_bias=config.get("attention_out_bias", bool, False),
    )
    forward = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    mixers = (mixer,) * shape.num_layers
    return build(config, mixers, forward, read_norm(config), end_token_id=2)


def helium(config: ConfigReader) -> ModelSpec:
    """Kyutai 2025: Llama with a rope that rotates neighbouring elements, and no bias in the output projection."""
    shape = read_shape(config, default_kv_heads=20, default_head_size=128)
    rope = read_rope(config, shape.head_size, default_theta=100_000.0)
    mixer = shape.attention(
        rope=replace(rope, interleaved=True), qkv_bias=config.get("attention_bias", bool, False)
    )
    forward = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    mixers = (mixer,) * shape.num_layers
    return build(config, mixers, forward, read_norm(config, 1e-8), end_token_id=2)


def ernie4_5(config: ConfigReader) -> ModelSpec:
    """Baidu 2025: Llama with a rope that rotates neighbouring elements, and with a tied head."""
    shape = read_shape(config, default_kv_heads=2, default_head_size=128)
    rope = read_rope(config, shape.head_size, default_theta=500_000.0)
    bias = config.get("use_bias", bool, False)
    mixer = shape.attention(rope=replace(rope, interleaved=True), qkv_bias=bias, out_bias=bias)
    forward = read_feed_forward(config, bias=bias)
    mixers, norm = (mixer,) * shape.num_layers, read_norm(config, 1e-5)
    return build(config, mixers, forward, norm, end_token_id=2, tied_head=True)


def _llama(config: ConfigReader, shape: Shape, *, epsilon: float = 1e-6) -> ModelSpec:
    bias = config.get("attention_bias", bool, False)
    mixer = shape.attention(rope=read_rope(config, shape.head_size), qkv_bias=bias, out_bias=bias)
    forward = read_feed_forward(config, bias=config.get("mlp_bias", bool, False))
    mixers = (mixer,) * shape.num_layers
    return build(config, mixers, forward, read_norm(config, epsilon), end_token_id=2)


def _windowed(config: ConfigReader, shape: Shape, windows: tuple[int | None, ...]) -> ModelSpec:
    rope = read_rope(config, shape.head_size)
    mixers = tuple(shape.attention(rope=rope, window=window) for window in windows)
    return build(config, mixers, read_feed_forward(config), read_norm(config), end_token_id=2)
