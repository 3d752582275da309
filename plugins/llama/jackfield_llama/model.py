"""Llama and Mistral as data. SmolLM is a Llama."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_spec,
    read_activation,
    read_max_length,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm


def llama(config: ConfigReader) -> ModelSpec:
    """Touvron et al. 2023; the scalings of rope by which later ones read longer texts included."""
    return _build(
        config,
        attention_bias=config.get("attention_bias", bool, False),
        mlp_bias=config.get("mlp_bias", bool, False),
    )


def mistral(config: ConfigReader) -> ModelSpec:
    """Jiang et al. 2023: Llama with a sliding window in every layer, unless `sliding_window` is null."""
    has_window = config.values.get("sliding_window", 0) is not None
    return _build(config, window=config.get("sliding_window", int, 4096) if has_window else None)


def _build(
    config: ConfigReader,
    *,
    window: int | None = None,
    attention_bias: bool = False,
    mlp_bias: bool = False,
) -> ModelSpec:
    shape = read_shape(config)
    rope = read_rope(config, shape.head_size)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))
    layer = Layer(
        mixer=Attention(
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_size=shape.head_size,
            scale=shape.head_size**-0.5,
            rope=rope,
            window=window,
            qkv_bias=attention_bias,
            out_bias=attention_bias,
        ),
        feed_forward=FeedForward(
            size=config.require("intermediate_size", int),
            activation=read_activation(config),
            bias=mlp_bias,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        max_length=read_max_length(config, rope),
    )
