"""MPNet as data: RoBERTa's positions, and attention scores with a bias for the distance of two tokens."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import Attention, ModelSpec, ModuleSource, RelativeBias
from jackfield_encoders.bert import encoder
from jackfield_encoders.classifier import with_classes

_BLOCK = "mpnet.encoder.layer.{i}"
_ATTENTION = {
    **{f"layers.{{i}}.mixer.{name}": f"{_BLOCK}.attention.attn.{name}" for name in "qkvo"},
    "layers.{i}.mixer_norm": f"{_BLOCK}.attention.LayerNorm",
    "layers.{i}.mixer.relative_bias": "mpnet.encoder.relative_attention_bias",  # shared by all layers
}
_PADDING = 1  # id of the padding token; the config's pad_token_id is not read
_BUCKETS, _FARTHEST = 32, 128


def mpnet(config: ConfigReader) -> ModelSpec:
    """Song et al. 2020. A learned bias for each distance and head, shared by all layers (Raffel et al. 2020)."""
    spec = encoder(config.filled(hidden_act="gelu", layer_norm_eps=1e-12), "mpnet")
    count = config.get("relative_attention_num_buckets", int, _BUCKETS)
    if count != _BUCKETS:
        raise config.refuse("relative_attention_num_buckets", count, str(_BUCKETS))
    bias = RelativeBias(num_buckets=_BUCKETS, max_distance=_FARTHEST)
    layer = spec.layers[0]
    assert isinstance(layer.mixer, Attention), "encoders attend"
    layer = replace(layer, mixer=replace(layer.mixer, relative_bias=bias))
    first = _PADDING + 1
    return replace(
        spec,
        layers=(layer,) * len(spec.layers),
        modules={
            **{name: source for name, source in spec.modules.items() if name != "segments"},
            **{name: ModuleSource(source) for name, source in _ATTENTION.items()},
        },
        segments=None,
        position_offset=first,
        max_length=config.require("max_position_embeddings", int) - first,
    )


def mpnet_classifier(config: ConfigReader) -> ModelSpec:
    """MPNet that classifies: a linear and tanh of the first token, then the classes."""
    return with_classes(mpnet(config), config, dense="classifier.dense", out="classifier.out_proj")
