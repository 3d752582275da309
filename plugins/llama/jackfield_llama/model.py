"""Llama and Mistral as data. SmolLM is a Llama."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    Shape,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, Norm


def llama(config: ConfigReader) -> ModelSpec:
    """Touvron et al. 2023; the scalings of rope by which later ones read longer texts included."""
    config = config.filled(max_position_embeddings=2048)
    return _build(
        config,
        read_shape(config),
        attention_bias=config.get("attention_bias", bool, False),
        mlp_bias=config.get("mlp_bias", bool, False),
    )


def mistral(config: ConfigReader) -> ModelSpec:
    """Jiang et al. 2023: Llama with a sliding window in every layer, unless `sliding_window` is null."""
    config = config.filled(max_position_embeddings=131_072)
    window = config.nullable("sliding_window", int, 4096)
    return _build(config, read_shape(config, default_kv_heads=8), window=window)


def _build(
    config: ConfigReader,
    shape: Shape,
    *,
    window: int | None = None,
    attention_bias: bool = False,
    mlp_bias: bool = False,
) -> ModelSpec:
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size),
        window=window,
        qkv_bias=attention_bias,
        out_bias=attention_bias,
    )
    forward = read_feed_forward(config, bias=mlp_bias)
    layer = Layer(mixer=mixer, feed_forward=forward, mixer_norm=norm, feed_forward_norm=norm)
    layers = (layer,) * shape.num_layers
    return make_spec(config, layers=layers, final_norm=norm, end_token_id=2)
