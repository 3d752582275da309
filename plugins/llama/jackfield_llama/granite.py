"""Granite and HyperCLOVA X SEED as data: Llama with four multipliers."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource
from jackfield_llama.layers import read_norm


def granite(config: ConfigReader) -> ModelSpec:
    """IBM Granite Team 2024."""
    return _scaled(config, attention=1.0, scales_logits_up=False)


def hyperclovax(config: ConfigReader) -> ModelSpec:
    """NAVER Cloud 2025: Granite with a norm after each half of a layer, too, and with multiplied logits."""
    spec = _scaled(config, attention=None, scales_logits_up=True)
    if not config.get("use_post_norm", bool, True):
        return spec
    norm = spec.layers[0].mixer_norm
    layers = tuple(
        replace(layer, mixer_post_norm=norm, feed_forward_post_norm=norm) for layer in spec.layers
    )
    modules = {
        **spec.modules,
        "layers.{i}.mixer_post_norm": ModuleSource("model.layers.{i}.post_norm1"),
        "layers.{i}.feed_forward_post_norm": ModuleSource("model.layers.{i}.post_norm2"),
    }
    return replace(spec, layers=layers, modules=modules)


def _scaled(config: ConfigReader, *, attention: float | None, scales_logits_up: bool) -> ModelSpec:
    shape = read_shape(config)
    norm = read_norm(config)
    bias = config.get("attention_bias", bool, False)
    scale = config.get("attention_multiplier", float, attention)
    mixer = shape.attention(
        rope=read_rope(config, shape.head_size), qkv_bias=bias, out_bias=bias,
        **({} if scale is None else {"scale": scale}),
    )  # fmt: skip
    layer = Layer(
        mixer=mixer,
        feed_forward=read_feed_forward(config, bias=config.get("mlp_bias", bool, False)),
        mixer_norm=norm,
        feed_forward_norm=norm,
        residual_scale=config.get("residual_multiplier", float, 1.0),
    )
    logits = config.get("logits_scaling", float, 1.0)
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=STANDARD_MODULES,
        end_token_id=2,
        embedding_scale=config.get("embedding_multiplier", float, 1.0),
        logit_scale=logits if scales_logits_up else 1.0 / logits,
    )
