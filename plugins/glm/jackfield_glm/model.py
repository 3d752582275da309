"""GLM-4 as data: half of each head rotates in pairs, and gate and up are one matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm, Split

_ENDS = (151329, 151336, 151338)  # for configs without the key
_POST_NORMS = {
    "layers.{i}.mixer_post_norm": ModuleSource("model.layers.{i}.post_self_attn_layernorm"),
    "layers.{i}.feed_forward_post_norm": ModuleSource("model.layers.{i}.post_mlp_layernorm"),
}


def glm(config: ConfigReader) -> ModelSpec:
    """GLM Team 2024."""
    return _build(config, _layer(config), {})


def glm4(config: ConfigReader) -> ModelSpec:
    """GLM Team 2025 (0414): with norms after each half, too."""
    layer = _layer(config)
    norm = layer.mixer_norm
    layer = replace(layer, mixer_post_norm=norm, feed_forward_post_norm=norm)
    return _build(config, layer, _POST_NORMS)


def _layer(config: ConfigReader) -> Layer:
    shape = read_shape(config, default_kv_heads=2, default_head_size=128)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1.5625e-7))
    rope = read_rope(config, shape.head_size, default_share=0.5)
    return Layer(
        mixer=shape.attention(
            rope=replace(rope, interleaved=True), qkv_bias=config.get("attention_bias", bool, True)
        ),
        feed_forward=read_feed_forward(config),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )


def _build(config: ConfigReader, layer: Layer, names: dict[str, ModuleSource]) -> ModelSpec:
    size = config.require("intermediate_size", int)
    fused = "model.layers.{i}.mlp.gate_up_proj"
    modules = {
        **STANDARD_MODULES,
        **names,
        "layers.{i}.feed_forward.gate": ModuleSource(fused, (Split(0, size),)),
        "layers.{i}.feed_forward.up": ModuleSource(fused, (Split(size, 2 * size),)),
    }
    given: dict[str, Any] = (
        {} if config.values.get("eos_token_id") is not None else {"end_token_ids": _ENDS}
    )
    return make_spec(
        config,
        layers=(layer,) * config.require("num_hidden_layers", int),
        final_norm=layer.mixer_norm,
        modules=modules,
        **given,
    )
