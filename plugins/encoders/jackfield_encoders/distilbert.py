"""DistilBERT as data."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_activation, read_dtype
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource, Norm
from jackfield_encoders.classifier import with_classes

_BLOCK = "distilbert.transformer.layer.{i}"
_MODULES = {
    "embedding": ModuleSource("distilbert.embeddings.word_embeddings"),
    "positions": ModuleSource("distilbert.embeddings.position_embeddings"),
    "embedding_norm": ModuleSource("distilbert.embeddings.LayerNorm"),
    "layers.{i}.mixer.q": ModuleSource(f"{_BLOCK}.attention.q_lin"),
    "layers.{i}.mixer.k": ModuleSource(f"{_BLOCK}.attention.k_lin"),
    "layers.{i}.mixer.v": ModuleSource(f"{_BLOCK}.attention.v_lin"),
    "layers.{i}.mixer.o": ModuleSource(f"{_BLOCK}.attention.out_lin"),
    "layers.{i}.mixer_norm": ModuleSource(f"{_BLOCK}.sa_layer_norm"),
    "layers.{i}.feed_forward.up": ModuleSource(f"{_BLOCK}.ffn.lin1"),
    "layers.{i}.feed_forward.down": ModuleSource(f"{_BLOCK}.ffn.lin2"),
    "layers.{i}.feed_forward_norm": ModuleSource(f"{_BLOCK}.output_layer_norm"),
}


def distilbert(config: ConfigReader) -> ModelSpec:
    """Sanh et al. 2019: BERT with half of the layers and without segments."""
    size, num_heads = config.get("dim", int, 768), config.get("n_heads", int, 12)
    norm = Norm(kind="layer", epsilon=1e-12, bias=True)
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_size=size // num_heads,
            scale=(size // num_heads) ** -0.5,
            qkv_bias=True,
            out_bias=True,
            causal=False,
        ),
        feed_forward=FeedForward(
            size=config.get("hidden_dim", int, 3072),
            activation=read_activation(config, "activation", "gelu"),
            gated=False,
            bias=True,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
        norm_after_sum=True,
    )
    length = config.get("max_position_embeddings", int, 512)
    config.get("tie_word_embeddings", bool)  # read for the head that predicts masked words
    return ModelSpec(
        architecture=config.architecture,
        vocab_size=config.require("vocab_size", int),
        hidden_size=size,
        max_length=length,
        layers=(layer,) * config.get("n_layers", int, 6),
        final_norm=None,
        modules=_MODULES,
        dtype=read_dtype(config),
        end_token_ids=(),
        has_head=False,
        learned_positions=length,
        embedding_norm=norm,
        other_heads=("vocab_", "pre_classifier.", "classifier."),
    )


def distilbert_classifier(config: ConfigReader) -> ModelSpec:
    """DistilBERT that classifies: a linear and relu of the first token, then the classes."""
    spec = distilbert(config)
    return with_classes(spec, config, dense="pre_classifier", out="classifier", activation="relu")
