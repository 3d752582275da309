"""ModernBERT as data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    make_rope,
    read_activation,
    read_classifier,
    read_dtype,
    read_feed_forward,
    read_shape,
    read_windows,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, Norm, Rope, Split
from jackfield.pooling import CLS, MEAN

_BLOCK = "model.layers.{i}"


def modernbert(config: ConfigReader) -> ModelSpec:
    """Warner et al. 2024: rotary positions, gated feed-forwards, and windows to both sides in two of three layers."""
    shape, norm = read_shape(config), _norm(config)
    every = config.get("global_attn_every_n_layers", int, 3)
    # A window counts to each side, and includes the token itself.
    window = config.get("local_attention", int, 128) // 2 + 1
    windows = read_windows(config, shape.num_layers, window, lambda layer: layer % every != 0)
    ropes = {True: _rope(config, shape.head_size, "sliding_attention", "local", 10_000.0),
             False: _rope(config, shape.head_size, "full_attention", "global", 160_000.0)}  # fmt: skip
    bias = config.get("attention_bias", bool, False)
    attention = shape.attention(qkv_bias=bias, out_bias=bias, causal=False)
    layer = Layer(
        mixer=attention,
        feed_forward=read_feed_forward(
            config,
            activation="gelu",
            key="hidden_activation",
            bias=config.get("mlp_bias", bool, False),
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    layers = tuple(
        replace(
            layer,
            mixer=replace(attention, window=window, rope=ropes[window is not None]),
            mixer_norm=norm if index else None,
        )
        for index, window in enumerate(windows)
    )
    config.get("tie_word_embeddings", bool)  # read for the head that predicts masked words
    return ModelSpec(
        architecture=config.architecture,
        vocab_size=config.require("vocab_size", int),
        hidden_size=shape.hidden_size,
        max_length=config.get("max_position_embeddings", int, 8192),
        layers=layers,
        final_norm=norm,
        modules=_modules(shape.hidden_size, config.require("intermediate_size", int)),
        dtype=read_dtype(config),
        end_token_ids=(),
        has_head=False,
        embedding_norm=norm,
        other_heads=("decoder.", "head.", "classifier."),
    )


def modernbert_classifier(config: ConfigReader) -> ModelSpec:
    """A linear, an activation and a norm, then the classes, for the first token or the mean."""
    spec = modernbert(config)
    kind = config.get("classifier_pooling", str, "cls")
    if kind not in (CLS, MEAN):
        raise config.refuse("classifier_pooling", kind, "cls, mean")
    classifier = read_classifier(
        config,
        pooling=kind,
        dense=True,
        dense_bias=config.get("classifier_bias", bool, False),
        activation=read_activation(config, "classifier_activation", "gelu"),
        norm=_norm(config),
    )
    return replace(
        spec,
        classifier=classifier,
        modules={
            **spec.modules,
            "classifier.dense": ModuleSource("head.dense"),
            "classifier.norm": ModuleSource("head.norm"),
            "classifier.out": ModuleSource("classifier"),
        },
    )


def _norm(config: ConfigReader) -> Norm:
    epsilon = config.get("norm_eps", float, 1e-5)
    return Norm(kind="layer", epsilon=epsilon, bias=config.get("norm_bias", bool, False))


def _rope(config: ConfigReader, head_size: int, kind: str, name: str, theta: float) -> Rope:
    """The rope of the layers of one kind: from the new keys, or from the old key `{name}_rope_theta`."""
    theta = config.get(f"{name}_rope_theta", float, theta)
    parameters: dict[str, Any] = (config.get("rope_parameters", dict) or {}).get(kind) or {}
    return make_rope(config, head_size, {"rope_theta": theta, **parameters})


def _modules(size: int, feed_forward: int) -> dict[str, ModuleSource]:
    names = {
        "embedding": "model.embeddings.tok_embeddings",
        "embedding_norm": "model.embeddings.norm",
        "layers.{i}.mixer_norm": f"{_BLOCK}.attn_norm",
        "layers.{i}.mixer.o": f"{_BLOCK}.attn.Wo",
        "layers.{i}.feed_forward_norm": f"{_BLOCK}.mlp_norm",
        "layers.{i}.feed_forward.down": f"{_BLOCK}.mlp.Wo",
        "final_norm": "model.final_norm",
    }
    fused = {
        **{f"mixer.{name}": ("attn.Wqkv", n, size) for n, name in enumerate("qkv")},
        "feed_forward.gate": ("mlp.Wi", 0, feed_forward),
        "feed_forward.up": ("mlp.Wi", 1, feed_forward),
    }
    return {
        **{name: ModuleSource(source) for name, source in names.items()},
        **{
            f"layers.{{i}}.{name}": ModuleSource(
                f"{_BLOCK}.{source}", (Split(part * rows, (part + 1) * rows),)
            )
            for name, (source, part, rows) in fused.items()
        },
    }
