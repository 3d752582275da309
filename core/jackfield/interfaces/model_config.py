"""Reading what the configs of most decoders share, so that a model plugin is short: shape, rope, windows, names.

Every key is read as Transformers reads it. The older spelling (`rope_theta`, `rope_scaling`, `torch_dtype`) is accepted
beside that of Transformers 5 (`rope_parameters`, `dtype`). If a key is absent, the default of the family's class in
Transformers holds, which may differ from null; the `default_` arguments give this default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jackfield.dtypes import DType, parse_dtype
from jackfield.interfaces.model import ConfigReader
from jackfield.model_spec import (
    Attention,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Rope,
    RopeScaling,
)
from jackfield.pooling import LAST, Classifier

ACTIVATIONS: Mapping[str, str] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "relu2": "relu_squared",
}
"""Activations as configs name them, and the names that a spec uses for them."""

STANDARD_MODULES: Mapping[str, ModuleSource] = {
    "embedding": ModuleSource("model.embed_tokens"),
    "layers.{i}.mixer_norm": ModuleSource("model.layers.{i}.input_layernorm"),
    "layers.{i}.mixer.q": ModuleSource("model.layers.{i}.self_attn.q_proj"),
    "layers.{i}.mixer.k": ModuleSource("model.layers.{i}.self_attn.k_proj"),
    "layers.{i}.mixer.v": ModuleSource("model.layers.{i}.self_attn.v_proj"),
    "layers.{i}.mixer.o": ModuleSource("model.layers.{i}.self_attn.o_proj"),
    "layers.{i}.mixer.q_norm": ModuleSource("model.layers.{i}.self_attn.q_norm"),
    "layers.{i}.mixer.k_norm": ModuleSource("model.layers.{i}.self_attn.k_norm"),
    "layers.{i}.mixer.sinks": ModuleSource("model.layers.{i}.self_attn.sinks"),
    "layers.{i}.feed_forward_norm": ModuleSource("model.layers.{i}.post_attention_layernorm"),
    "layers.{i}.feed_forward.gate": ModuleSource("model.layers.{i}.mlp.gate_proj"),
    "layers.{i}.feed_forward.up": ModuleSource("model.layers.{i}.mlp.up_proj"),
    "layers.{i}.feed_forward.down": ModuleSource("model.layers.{i}.mlp.down_proj"),
    "final_norm": ModuleSource("model.norm"),
    "head": ModuleSource("lm_head"),
}
"""Where most checkpoints (Llama's and its descendants') keep the modules of a decoder."""

_SLIDING, _FULL = "sliding_attention", "full_attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes that nearly every config states under the same keys."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int  # elements

    def attention(self, **changes: Any) -> Attention:
        """Attention of this shape, scaled by the root of the head size; `changes` are fields of Attention."""
        fields: dict[str, Any] = {
            "num_heads": self.num_heads,
            "num_kv_heads": self.num_kv_heads,
            "head_size": self.head_size,
            "scale": self.head_size**-0.5,
        }
        return Attention(**{**fields, **changes})


def read_shape(
    config: ConfigReader,
    *,
    default_kv_heads: int | None = None,
    default_head_size: int | None = None,
) -> Shape:
    """The sizes of a decoder. If the head size is not given, the heads share the hidden size.

    `default_kv_heads` holds if the config has no `num_key_value_heads`; null, or None here, means one for each head.
    `default_head_size` holds if the config has no `head_dim`; null, or None here, means hidden size / number of heads.
    """
    hidden_size = config.require("hidden_size", int)
    num_heads = config.require("num_attention_heads", int)
    num_kv_heads = config.nullable("num_key_value_heads", int, default_kv_heads)
    if num_kv_heads is None:
        num_kv_heads = num_heads
    head_size = config.nullable("head_dim", int, default_head_size)
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        allowed = f"divisors of num_attention_heads={num_heads}"
        raise config.refuse("num_key_value_heads", num_kv_heads, allowed)
    if head_size is None and hidden_size % num_heads:
        allowed = f"divisors of hidden_size={hidden_size}, or a config with head_dim"
        raise config.refuse("num_attention_heads", num_heads, allowed)
    return Shape(
        hidden_size=hidden_size,
        num_layers=config.require("num_hidden_layers", int),
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_size=head_size or hidden_size // num_heads,
    )


def read_activation(config: ConfigReader, key: str = "hidden_act", default: str = "silu") -> str:
    """The name that a spec uses for the activation in the config's `key`."""
    name = config.get(key, str, default)
    if name not in ACTIVATIONS:
        raise config.refuse(key, name, ", ".join(sorted(ACTIVATIONS)))
    return ACTIVATIONS[name]


def read_feed_forward(
    config: ConfigReader, *, activation: str = "silu", key: str = "hidden_act", **changes: Any
) -> FeedForward:
    """A feed-forward as wide as `intermediate_size`; `changes` are fields of FeedForward.

    `activation`, named as in a config, holds if the config has no `key`.
    """
    fields: dict[str, Any] = {
        "size": config.require("intermediate_size", int),
        "activation": read_activation(config, key, activation),
    }
    return FeedForward(**{**fields, **changes})


def read_windows(
    config: ConfigReader, num_layers: int, window: int | None, is_window: Callable[[int], bool]
) -> tuple[int | None, ...]:
    """The window of each layer: from `layer_types` if the config has it, else by `is_window(layer)`."""
    kinds = config.get("layer_types", list)
    if kinds is None:
        kinds = [_SLIDING if window and is_window(layer) else _FULL for layer in range(num_layers)]
    if len(kinds) != num_layers:
        raise config.refuse("layer_types", kinds, f"one entry for each of the {num_layers} layers")
    for kind in kinds:
        if kind not in (_SLIDING, _FULL):
            raise config.refuse("layer_types", kind, f"{_SLIDING}, {_FULL}")
    if _SLIDING in kinds and not window:
        raise config.refuse("sliding_window", window, f"tokens, for the layers of {_SLIDING}")
    return tuple(window if kind == _SLIDING else None for kind in kinds)


def read_rope(
    config: ConfigReader,
    head_size: int,
    *,
    default_theta: float = 10_000.0,
    default_share: float | None = None,
) -> Rope:
    """The one rope of all layers, from the new keys or the old.

    `default_share` is the part of a head that rotates if the config does not say. None: the architecture rotates whole
    heads, and `partial_rotary_factor` is not read; Transformers ignores it too.
    """
    parameters = config.get("rope_scaling", dict) or config.get("rope_parameters", dict, {})
    table = {"rope_theta": config.get("rope_theta", float, default_theta), **parameters}
    if default_share is None:
        table["partial_rotary_factor"] = 1.0
    else:
        share = config.get("partial_rotary_factor", float, default_share)
        table.setdefault("partial_rotary_factor", share)
    return make_rope(config, head_size, table)


def make_rope(config: ConfigReader, head_size: int, parameters: Mapping[str, Any]) -> Rope:
    """A rope from a table in the form of `rope_parameters` (for models whose layers differ)."""
    reader = ConfigReader({**parameters, "architectures": [config.architecture]})
    rope = Rope(
        theta=reader.require("rope_theta", float),
        rotary_size=int(head_size * reader.get("partial_rotary_factor", float, 1.0)),
    )
    kind = reader.get("rope_type", str) or reader.get("type", str, "default")
    if kind == "default":
        return rope
    if kind not in _SCALINGS:
        raise config.refuse("rope_type", kind, f"default, {', '.join(sorted(_SCALINGS))}")
    context = config.require("max_position_embeddings", int)
    scaling = _SCALINGS[kind](reader, context)
    return Rope(theta=rope.theta, rotary_size=rope.rotary_size, scaling=scaling)


def read_max_length(config: ConfigReader, rope: Rope) -> int:
    """Number of tokens that the model may see. Linear and dynamic scaling multiply the config's length, yarn its
    original.
    """
    length = config.require("max_position_embeddings", int)
    scaling = rope.scaling
    if scaling is None or scaling.kind in ("llama3", "longrope"):
        return length
    if scaling.kind == "yarn":
        return max(length, int((scaling.original_length or length) * scaling.factor))
    return int(length * scaling.factor)


def read_end_token_ids(config: ConfigReader, default: int | None = None) -> tuple[int, ...]:
    """`eos_token_id`: a number, a list, or null for none. If the key is absent, `default` holds."""
    value = config.values.get("eos_token_id", default)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        return (config.get("eos_token_id", int, value),)
    if not all(type(token_id) is int for token_id in value):
        raise config.refuse("eos_token_id", value, "a token id, a list of them, or null")
    return tuple(value)


def read_dtype(config: ConfigReader) -> DType:
    """The dtype of the checkpoint; float32 if the config gives none, or gives "auto"."""
    name = config.get("dtype", str) or config.get("torch_dtype", str, "float32")
    return parse_dtype("float32" if name == "auto" else name)


def read_classifier(config: ConfigReader, *, pooling: str, **changes: Any) -> Classifier:
    """The classification head; `changes` are fields of Classifier.

    Classes are counted as in Transformers. The activation that the config names for Sentence Transformers, if any,
    decides the scoring. Otherwise it is sigmoid for one class or for several that can hold at once (`problem_type`),
    else softmax.
    """
    labels = config.get("id2label", dict) or {}
    num_classes = len(labels) or config.get("num_labels", int, 2)
    is_sigmoid = num_classes == 1 or config.get("problem_type", str) == "multi_label_classification"
    stated = (config.get("sentence_transformers", dict) or {}).get("activation_fn")
    word = str(stated or "").rpartition(".")[2]
    scoring = _SCORINGS.get(word) or ("sigmoid" if is_sigmoid else "softmax")
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    fields: dict[str, Any] = {"num_classes": num_classes, "labels": names, "scoring": scoring}
    return Classifier(pooling=pooling, **{**fields, **changes})


def with_classifier(spec: ModelSpec, config: ConfigReader, source: str = "score") -> ModelSpec:
    """A decoder with a linear over its last token instead of the head, as in `...ForSequenceClassification`."""
    modules = {name: found for name, found in spec.modules.items() if name != "head"}
    return replace(
        spec,
        has_head=False,
        tied_head=False,
        head_bias=False,
        classifier=read_classifier(config, pooling=LAST, bias=False),
        modules={**modules, "classifier.out": ModuleSource(source)},
        other_heads=("lm_head.",),
    )


_SCORINGS = {"Sigmoid": "sigmoid", "Identity": "none", "Softmax": "softmax"}


def make_spec(
    config: ConfigReader,
    *,
    layers: tuple[Layer, ...],
    final_norm: Norm | None,
    modules: Mapping[str, ModuleSource] = STANDARD_MODULES,
    tied_head: bool = False,
    end_token_id: int | None = None,
    **changes: Any,
) -> ModelSpec:
    """A spec whose other facts stand in the config under the usual keys; `changes` are fields of ModelSpec.

    `tied_head` holds if the config has no `tie_word_embeddings`, `end_token_id` if it has no `eos_token_id`.
    If all layers share one rope, the length includes what the scaling of that rope adds.
    """
    is_tied = config.get("tie_word_embeddings", bool, tied_head)
    kept = {name: source for name, source in modules.items() if not (is_tied and name == "head")}
    fields: dict[str, Any] = {
        "architecture": config.architecture,
        "vocab_size": config.require("vocab_size", int),
        "modules": kept,
        "dtype": read_dtype(config),
        "end_token_ids": read_end_token_ids(config, end_token_id),
        "tied_head": is_tied,
    }
    if "hidden_size" not in changes:
        fields["hidden_size"] = config.require("hidden_size", int)
    if "max_length" not in changes:
        fields["max_length"] = _length_of(config, layers)
    return ModelSpec(layers=layers, final_norm=final_norm, **{**fields, **changes})


def _length_of(config: ConfigReader, layers: tuple[Layer, ...]) -> int:
    ropes = {layer.mixer.rope for layer in layers}
    rope = ropes.pop() if len(ropes) == 1 else None
    return read_max_length(config, rope) if rope else config.require("max_position_embeddings", int)


def _linear(reader: ConfigReader, context: int) -> RopeScaling:
    return RopeScaling(kind="linear", factor=reader.require("factor", float))


def _dynamic(reader: ConfigReader, context: int) -> RopeScaling:
    factor = reader.require("factor", float)
    return RopeScaling(kind="dynamic", factor=factor, original_length=context)


def _llama3(reader: ConfigReader, context: int) -> RopeScaling:
    return RopeScaling(
        kind="llama3",
        factor=reader.require("factor", float),
        low_frequency=reader.require("low_freq_factor", float),
        high_frequency=reader.require("high_freq_factor", float),
        original_length=reader.get("original_max_position_embeddings", int, context),
    )


def _yarn(reader: ConfigReader, context: int) -> RopeScaling:
    original = reader.get("original_max_position_embeddings", int, context)
    return RopeScaling(
        kind="yarn",
        factor=reader.get("factor", float) or context / original,
        original_length=original,
        beta_fast=reader.get("beta_fast", float),
        beta_slow=reader.get("beta_slow", float),
        attention_factor=reader.get("attention_factor", float),
        mscale=reader.get("mscale", float),
        mscale_all_dim=reader.get("mscale_all_dim", float),
        truncate=reader.get("truncate", bool),
    )


def _longrope(reader: ConfigReader, context: int) -> RopeScaling:
    original = reader.get("original_max_position_embeddings", int, context)
    return RopeScaling(
        kind="longrope",
        factor=reader.get("factor", float) or context / original,
        original_length=original,
        attention_factor=reader.get("attention_factor", float),
        short_factors=tuple(map(float, reader.require("short_factor", list))),
        long_factors=tuple(map(float, reader.require("long_factor", list))),
    )


_SCALINGS: Mapping[str, Callable[[ConfigReader, int], RopeScaling]] = {
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "su": _longrope,  # Phi-3's first word for it
}
