"""BERT, RoBERTa and XLM-RoBERTa as data: one encoder with different positions and heads."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_dtype, read_feed_forward, read_shape
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm
from jackfield_encoders.classifier import with_classes

_BLOCK = "encoder.layer.{i}"
_MODULES = {
    "embedding": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "layers.{i}.mixer.q": f"{_BLOCK}.attention.self.query",
    "layers.{i}.mixer.k": f"{_BLOCK}.attention.self.key",
    "layers.{i}.mixer.v": f"{_BLOCK}.attention.self.value",
    "layers.{i}.mixer.o": f"{_BLOCK}.attention.output.dense",
    "layers.{i}.mixer_norm": f"{_BLOCK}.attention.output.LayerNorm",
    "layers.{i}.feed_forward.up": f"{_BLOCK}.intermediate.dense",
    "layers.{i}.feed_forward.down": f"{_BLOCK}.output.dense",
    "layers.{i}.feed_forward_norm": f"{_BLOCK}.output.LayerNorm",
}


def bert(config: ConfigReader) -> ModelSpec:
    """Devlin et al. 2019: norms follow the sums; embeddings of positions and of segments are learned."""
    spec = encoder(config.filled(hidden_act="gelu", layer_norm_eps=1e-12), "bert")
    return replace(spec, max_length=config.require("max_position_embeddings", int))


def bert_classifier(config: ConfigReader) -> ModelSpec:
    """BERT that classifies: a linear and tanh of the first token (the "pooler"), then the classes."""
    return with_classes(bert(config), config, dense="bert.pooler.dense", out="classifier")


def roberta(config: ConfigReader) -> ModelSpec:
    """Liu et al. 2019, and Conneau et al. 2020 for XLM-R: positions begin after the id of the padding token."""
    spec = encoder(config.filled(hidden_act="gelu", layer_norm_eps=1e-12), "roberta")
    first = config.get("pad_token_id", int, 1) + 1
    length = config.require("max_position_embeddings", int) - first
    return replace(spec, position_offset=first, max_length=length)


def roberta_classifier(config: ConfigReader) -> ModelSpec:
    """RoBERTa that classifies: a linear and tanh of the first token, then the classes."""
    spec = roberta(config)
    return with_classes(spec, config, dense="classifier.dense", out="classifier.out_proj")


def encoder(config: ConfigReader, prefix: str) -> ModelSpec:
    """The encoder of BERT. In the checkpoint, all names of tensors begin with `prefix`."""
    kind = config.get("position_embedding_type", str, "absolute")
    if kind != "absolute":
        raise config.refuse("position_embedding_type", kind, "absolute")
    shape = read_shape(config)
    norm = Norm(kind="layer", epsilon=config.require("layer_norm_eps", float), bias=True)
    layer = Layer(
        mixer=shape.attention(qkv_bias=True, out_bias=True, causal=False),
        feed_forward=read_feed_forward(config, activation="gelu", gated=False, bias=True),
        mixer_norm=norm,
        feed_forward_norm=norm,
        norm_after_sum=True,
    )
    config.get("tie_word_embeddings", bool)  # read for the head that predicts masked words
    return ModelSpec(
        architecture=config.architecture,
        vocab_size=config.require("vocab_size", int),
        hidden_size=shape.hidden_size,
        max_length=config.require("max_position_embeddings", int),
        layers=(layer,) * shape.num_layers,
        final_norm=None,
        modules={name: ModuleSource(f"{prefix}.{source}") for name, source in _MODULES.items()},
        dtype=read_dtype(config),
        end_token_ids=(),
        has_head=False,
        learned_positions=config.require("max_position_embeddings", int),
        segments=config.get("type_vocab_size", int, 2),
        embedding_norm=norm,
        other_heads=("cls.", "lm_head.", f"{prefix}.pooler.", "pooler.", "classifier."),
    )
