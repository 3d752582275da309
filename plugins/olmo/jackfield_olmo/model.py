"""OLMo 1, 2 and 3 as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_rope,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Attention, Layer, ModelSpec, ModuleSource, Norm

_END = 50279  # for configs without the key
_POST_MODULES: Mapping[str, ModuleSource] = {
    **STANDARD_MODULES,
    "layers.{i}.mixer_post_norm": ModuleSource("model.layers.{i}.post_attention_layernorm"),
    "layers.{i}.feed_forward_post_norm": ModuleSource(
        "model.layers.{i}.post_feedforward_layernorm"
    ),
}


def olmo(config: ConfigReader) -> ModelSpec:
    """Groeneveld et al. 2024: Llama with layer norms without weights; projections may be clipped."""
    shape = read_shape(config)
    norm = Norm(kind="layer", epsilon=1e-5, weight=False)
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size),
            qkv_clip=config.get("clip_qkv", float),
            **_biases(config),
        ),
        feed_forward=read_feed_forward(config),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    layers = (layer,) * shape.num_layers
    return make_spec(config, layers=layers, final_norm=norm, end_token_id=_END)


def olmo2(config: ConfigReader) -> ModelSpec:
    """Team OLMo 2025: norms after each half, and over all heads of q and all heads of k together."""
    shape = read_shape(config)
    mixer = shape.attention(rope=read_rope(config, shape.head_size), **mixer_facts(config))
    return _build(config, (mixer,) * shape.num_layers)


def olmo3(config: ConfigReader) -> ModelSpec:
    """Team OLMo 2025: OLMo 2 with windows in three of four layers, whose rope is not scaled."""
    shape = read_shape(config)
    window = config.nullable("sliding_window", int, 4096)
    windows = read_windows(config, shape.num_layers, window, lambda layer: (layer + 1) % 4 != 0)
    full, local = (make_rope(config, shape.head_size, table) for table in _rope_tables(config))
    facts = mixer_facts(config)
    mixers = tuple(
        shape.attention(rope=local if size else full, window=size, **facts) for size in windows
    )
    return _build(config, mixers, max_length=config.get("max_position_embeddings", int, 2048))


def read_norm(config: ConfigReader) -> Norm:
    """The RMS norm of all layers."""
    return Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))


def _biases(config: ConfigReader) -> dict[str, bool]:
    bias = config.get("attention_bias", bool, False)
    return {"qkv_bias": bias, "out_bias": bias}


def mixer_facts(config: ConfigReader) -> dict[str, Any]:
    """Fields of attention with norms over all heads together."""
    norm = read_norm(config)
    return {"q_norm": norm, "k_norm": norm, "joint_norms": True, **_biases(config)}


def _rope_tables(config: ConfigReader) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables for full attention and for windows. Older configs scale only the first."""
    parameters = config.get("rope_parameters", dict, {})
    theta = {"rope_theta": config.get("rope_theta", float, 500_000.0)}
    if "full_attention" in parameters or "sliding_attention" in parameters:
        tables = ConfigReader({**parameters, "architectures": [config.architecture]})
        full, local = (
            {**theta, **tables.get(kind, dict, {})}
            for kind in ("full_attention", "sliding_attention")
        )
        return full, local
    full = {**theta, **(config.get("rope_scaling", dict) or parameters)}
    return full, {"rope_theta": full["rope_theta"]}


def _build(config: ConfigReader, mixers: tuple[Attention, ...], **changes: Any) -> ModelSpec:
    norm = read_norm(config)
    layer = Layer(
        mixer=mixers[0],
        feed_forward=read_feed_forward(config),
        mixer_norm=None,
        feed_forward_norm=None,
        mixer_post_norm=norm,
        feed_forward_post_norm=norm,
    )
    return make_spec(
        config,
        layers=tuple(replace(layer, mixer=mixer) for mixer in mixers),
        final_norm=norm,
        modules=_POST_MODULES,
        end_token_id=_END,
        **changes,
    )
