"""OPT and BioGPT as data: learned positions, whose table begins with two unused rows."""

from __future__ import annotations

import math
from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation, read_shape
from jackfield.model_spec import FeedForward, Layer, ModelSpec, ModuleSource, Norm
from jackfield_gpt.parts import block

_OFFSET = 2  # rows of the position table before the first position
_NAMES = {
    "mixer_norm": "self_attn_layer_norm",
    "mixer.q": "self_attn.q_proj",
    "mixer.k": "self_attn.k_proj",
    "mixer.v": "self_attn.v_proj",
    "mixer.o": "self_attn.out_proj",
    "feed_forward_norm": "final_layer_norm",
    "feed_forward.up": "fc1",
    "feed_forward.down": "fc2",
}


def opt(config: ConfigReader) -> ModelSpec:
    """Zhang et al. 2022. There is no spec for 350m, which has norms after each half."""
    for key, wanted in (("do_layer_norm_before", True), ("_remove_final_layer_norm", False)):
        if config.get(key, bool, wanted) is not wanted:
            raise config.refuse(key, not wanted, str(wanted).lower())
    shape = read_shape(config)
    width = config.get("word_embed_proj_dim", int, 768)
    if width != shape.hidden_size:
        raise config.refuse("word_embed_proj_dim", width, f"hidden_size={shape.hidden_size}")
    is_affine = config.get("layer_norm_elementwise_affine", bool, True)
    norm = Norm(kind="layer", epsilon=1e-5, bias=is_affine, weight=is_affine)
    bias = config.get("enable_bias", bool, True)
    layer = Layer(
        mixer=replace(shape.attention(), qkv_bias=bias, out_bias=bias),
        feed_forward=FeedForward(
            size=config.get("ffn_dim", int, 3072),
            activation=read_activation(config, "activation_function", "relu"),
            gated=False,
            bias=bias,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    return _build(config, layer, shape.num_layers, "model.decoder", "final_layer_norm", "lm_head")


def biogpt(config: ConfigReader) -> ModelSpec:
    """Luo et al. 2022: OPT with gelu and scaled embeddings."""
    shape = read_shape(config)
    norm = Norm(kind="layer", epsilon=1e-5, bias=True)
    layer = Layer(
        mixer=replace(shape.attention(), qkv_bias=True, out_bias=True),
        feed_forward=FeedForward(
            size=config.require("intermediate_size", int),
            activation=read_activation(config, "hidden_act", "gelu"),
            gated=False,
            bias=True,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    is_scaled = config.get("scale_embedding", bool, True)
    spec = _build(config, layer, shape.num_layers, "biogpt", "layer_norm", "output_projection")
    return replace(spec, embedding_scale=math.sqrt(shape.hidden_size) if is_scaled else 1.0)


def _build(
    config: ConfigReader, layer: Layer, num_layers: int, prefix: str, last: str, head: str
) -> ModelSpec:
    max_length = config.require("max_position_embeddings", int)
    modules = {
        "embedding": ModuleSource(f"{prefix}.embed_tokens"),
        "positions": ModuleSource(f"{prefix}.embed_positions"),
        **block(f"{prefix}.layers.{{i}}", _NAMES),
        "final_norm": ModuleSource(f"{prefix}.{last}"),
        "head": ModuleSource(head),
    }
    return make_spec(
        config,
        layers=(layer,) * num_layers,
        final_norm=layer.mixer_norm,
        modules=modules,
        tied_head=True,
        end_token_id=2,
        max_length=max_length,
        learned_positions=max_length + _OFFSET,
        position_offset=_OFFSET,
    )
