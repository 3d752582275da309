"""Llama 4 as data: layers that rotate attend within chunks, the others to all tokens; some have experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    Shape,
    read_activation,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import (
    Attention,
    Entry,
    Experts,
    FeedForward,
    ModelSpec,
    ModuleSource,
    Norm,
    Router,
    Split,
    Temperature,
    Transpose,
)
from jackfield_llama.layers import build, read_norm

_CHUNKED, _FULL = "chunked_attention", "full_attention"
_DTYPES = {"dtype", "torch_dtype"}
_OF_ALL = (*_DTYPES, "eos_token_id")  # keys of a config outside of its tables
_FORWARD, _BLOCK = "layers.{i}.feed_forward", "model.layers.{i}.feed_forward"


def llama4(config: ConfigReader) -> ModelSpec:
    """Meta 2025 (Scout, Maverick), text only. Layers without rope, by default every fourth, see all tokens."""
    config = config.filled(max_position_embeddings=131_072)
    shape = read_shape(config, default_kv_heads=8, default_head_size=128)
    forwards = _read_feed_forwards(config, shape.num_layers)
    return build(
        config,
        _read_mixers(config, shape),
        forwards,
        read_norm(config, 1e-5),
        modules=_modules(config),
        end_token_id=2,
    )


def llama4_text(config: ConfigReader) -> ModelSpec:
    """The language model of a checkpoint that also sees images; the parts for images are left out."""
    outer = {key: config.values[key] for key in _OF_ALL if key in config.values}
    text = dict(config.require("text_config", dict))
    if not _DTYPES.isdisjoint(outer):
        text = {key: value for key, value in text.items() if key not in _DTYPES}
    spec = llama4(ConfigReader({**text, **outer, "architectures": [config.architecture]}))
    modules = {
        name: replace(source, prefix=f"language_model.{source.prefix}")
        for name, source in spec.modules.items()
    }
    return replace(spec, modules=modules, other_heads=("vision_model.", "multi_modal_projector."))


def _read_mixers(config: ConfigReader, shape: Shape) -> tuple[Attention, ...]:
    rope = replace(read_rope(config, shape.head_size, default_theta=500_000.0), interleaved=True)
    bias = config.get("attention_bias", bool, False)
    size = config.nullable("attention_chunk_size", int, 8192)
    # A root mean square without weights scales all heads to one length.
    norm = Norm(epsilon=config.get("rms_norm_eps", float, 1e-5), weight=False)
    has_norm = config.get("use_qk_norm", bool, True)
    tuned = config.get("attn_temperature_tuning", bool, True)
    temperature = Temperature(
        step=config.get("floor_scale", int, 8192), factor=config.get("attn_scale", float, 0.1)
    )
    plain = shape.attention(qkv_bias=bias, out_bias=bias)
    rotating = replace(
        plain,
        rope=rope,
        q_norm=norm if has_norm else None,
        k_norm=norm if has_norm else None,
        norm_after_rope=has_norm,
    )
    still = replace(plain, temperature=temperature if tuned else None)
    rotates = _read_rotating(config, shape.num_layers)
    kinds = _read_kinds(config, rotates)
    if _CHUNKED in kinds and not size:
        raise config.refuse("attention_chunk_size", size, f"tokens, for the layers of {_CHUNKED}")
    return tuple(
        replace(rotating if turns else still, chunk_size=size if kind == _CHUNKED else None)
        for turns, kind in zip(rotates, kinds, strict=True)
    )


def _read_rotating(config: ConfigReader, num_layers: int) -> list[bool]:
    """For each layer, whether it rotates. Despite its name, `no_rope_layers` has 1 for layers that rotate."""
    interval = config.get("no_rope_layer_interval", int, 4)
    if interval < 1:
        raise config.refuse("no_rope_layer_interval", interval, "1 or more")
    found = config.get("no_rope_layers", list)
    if not found:
        return [(layer + 1) % interval != 0 for layer in range(num_layers)]
    if len(found) < num_layers:
        raise config.refuse("no_rope_layers", found, f"one entry for each of {num_layers} layers")
    return [bool(each) for each in found[:num_layers]]


def _read_kinds(config: ConfigReader, rotates: list[bool]) -> list[str]:
    kinds = config.get("layer_types", list) or [_CHUNKED if turns else _FULL for turns in rotates]
    if len(kinds) != len(rotates) or not {*map(str, kinds)} <= {_CHUNKED, _FULL}:
        allowed = f"{_CHUNKED} or {_FULL} for each of the {len(rotates)} layers"
        raise config.refuse("layer_types", kinds, allowed)
    return kinds


def _read_feed_forwards(config: ConfigReader, num_layers: int) -> tuple[FeedForward | Experts, ...]:
    """Experts in `moe_layers`, by default in every `interleave_moe_layer_step`-th layer; the others are dense."""
    expert = read_feed_forward(config)
    experts = Experts(
        router=Router(
            num_experts=config.get("num_local_experts", int, 16),
            top_k=config.get("num_experts_per_tok", int, 1),
            scoring="sigmoid",
            scales_inputs=True,
        ),
        expert=expert,
        shared=expert,
    )
    dense = FeedForward(
        size=config.get("intermediate_size_mlp", int, 16_384), activation=read_activation(config)
    )
    step = config.get("interleave_moe_layer_step", int, 1)
    if step < 1:
        raise config.refuse("interleave_moe_layer_step", step, "1 or more")
    chosen = config.get("moe_layers", list)
    if chosen is None:
        chosen = list(range(step - 1, num_layers, step))
    return tuple(experts if layer in chosen else dense for layer in range(num_layers))


def _modules(config: ConfigReader) -> Mapping[str, ModuleSource]:
    """All experts of a layer are one tensor, [experts, inputs, outputs], with gate and up side by side, unless the config
    says that they are separate, as in GGUF.
    """
    size = config.require("intermediate_size", int)
    experts, expert = f"{_BLOCK}.experts", f"{_FORWARD}.experts.{{e}}"
    gate_up = f"{experts}.gate_up_proj"

    def stacked(prefix: str, *parts: Split) -> ModuleSource:
        return ModuleSource(prefix, (Entry(), Transpose(), *parts), is_weight=True)

    modules = {
        **expert_modules(block="feed_forward", router="router", shared="shared_expert"),
        **{
            f"{_FORWARD}.{name}": ModuleSource(f"{_BLOCK}.{name}_proj")
            for name in ("gate", "up", "down")
        },
    }
    if config.get("separate_experts", bool, False):
        return modules
    return {
        **modules,
        f"{expert}.gate": stacked(gate_up, Split(0, size)),
        f"{expert}.up": stacked(gate_up, Split(size, 2 * size)),
        f"{expert}.down": stacked(f"{experts}.down_proj"),
    }
