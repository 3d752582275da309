"""Phi-1 to Phi-4 as data."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm, Split

_PHI_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.mixer.o": ModuleSource("model.layers.{i}.self_attn.dense"),
    "layers.{i}.mixer.q_norm": ModuleSource("model.layers.{i}.self_attn.q_layernorm"),
    "layers.{i}.mixer.k_norm": ModuleSource("model.layers.{i}.self_attn.k_layernorm"),
    "layers.{i}.feed_forward.up": ModuleSource("model.layers.{i}.mlp.fc1"),
    "layers.{i}.feed_forward.down": ModuleSource("model.layers.{i}.mlp.fc2"),
    "final_norm": ModuleSource("model.final_layernorm"),
}


def phi(config: ConfigReader) -> ModelSpec:
    """Li et al. 2023 (Phi-1, 1.5, 2): both halves of a layer read the same layer norm; all linears have biases."""
    shape = read_shape(config)
    norm = Norm(kind="layer", epsilon=config.get("layer_norm_eps", float, 1e-5), bias=True)
    head_norm = norm if config.get("qk_layernorm", bool, False) else None
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size, default_share=0.5),
            q_norm=head_norm,
            k_norm=head_norm,
            qkv_bias=True,
            out_bias=True,
        ),
        feed_forward=read_feed_forward(config, activation="gelu_new", gated=False, bias=True),
        mixer_norm=norm,
        feed_forward_norm=None,
        parallel=True,
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=_PHI_MODULES,
        end_token_id=2,
        head_bias=True,
    )


def phi3(config: ConfigReader) -> ModelSpec:
    """Abdin et al. 2024 (Phi-3, 3.5, 4): Llama with fused matrices and a rope for long texts."""
    shape = read_shape(config)
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(_with_original_length(config), shape.head_size, default_share=1.0),
            window=config.get("sliding_window", int),
        ),
        feed_forward=read_feed_forward(config),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    q, kv = shape.num_heads * shape.head_size, shape.num_kv_heads * shape.head_size
    size = config.require("intermediate_size", int)
    qkv, gate_up = "model.layers.{i}.self_attn.qkv_proj", "model.layers.{i}.mlp.gate_up_proj"
    modules = {
        **STANDARD_MODULES,
        "layers.{i}.mixer.q": ModuleSource(qkv, (Split(0, q),)),
        "layers.{i}.mixer.k": ModuleSource(qkv, (Split(q, q + kv),)),
        "layers.{i}.mixer.v": ModuleSource(qkv, (Split(q + kv, q + 2 * kv),)),
        "layers.{i}.feed_forward.gate": ModuleSource(gate_up, (Split(0, size),)),
        "layers.{i}.feed_forward.up": ModuleSource(gate_up, (Split(size, 2 * size),)),
    }
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=modules,
        end_token_id=32000,
    )


def _with_original_length(config: ConfigReader) -> ConfigReader:
    """Phi stores the original length beside the table of the rope, not in it."""
    original = config.get("original_max_position_embeddings", int, 4096)
    values = dict(config.values)
    for key in ("rope_scaling", "rope_parameters"):
        if table := config.get(key, dict):
            values[key] = {**table, "original_max_position_embeddings": original}
    return ConfigReader(values)
