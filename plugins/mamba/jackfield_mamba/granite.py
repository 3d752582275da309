"""Granite 4 as data: states in most layers, attention without positions in some, with experts or one feed-forward."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.expert_config import expert_modules
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation, read_rope, read_shape
from jackfield.model_spec import (
    Entry,
    Experts,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Router,
    Split,
)
from jackfield_mamba.state_space import read_state_space, state_space_modules

_DEFAULTS = {
    "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_expand": 2,
    "max_position_embeddings": 2048,
}  # fmt: skip
_RECURRENT, _ATTENDING = ("linear_attention", "mamba"), ("full_attention", "attention")
_FORWARD, _BLOCK = "layers.{i}.feed_forward", "model.layers.{i}.block_sparse_moe"
_SHARED = "model.layers.{i}.shared_mlp"


def granite_hybrid(config: ConfigReader) -> ModelSpec:
    """IBM Granite Team 2025 (4.0, tiny to small), with the multipliers of Granite 3."""
    config = config.filled(**_DEFAULTS)
    shape, norm = read_shape(config), Norm(epsilon=config.get("rms_norm_eps", float, 1e-6))
    bias = config.get("attention_bias", bool, False)
    rotates = config.get("position_embedding_type", str) == "rope"
    attention = shape.attention(
        scale=config.get("attention_multiplier", float, 1.0),
        rope=read_rope(config, shape.head_size) if rotates else None,
        qkv_bias=bias,
        out_bias=bias,
    )
    size = config.require("mamba_expand", int) * shape.hidden_size
    recurrent = replace(read_state_space(config, size), norm=norm)
    forward = _read_forward(config)
    attends = _read_attending(config, shape.num_layers)
    layers = tuple(
        Layer(
            mixer=attention if is_attending else recurrent,
            feed_forward=forward,
            mixer_norm=norm,
            feed_forward_norm=norm,
            residual_scale=config.get("residual_multiplier", float, 1.0),
        )
        for is_attending in attends
    )
    modules = _modules(config, forward)
    for layer in (layer for layer, is_attending in enumerate(attends) if not is_attending):
        prefix = f"model.layers.{layer}.mamba"
        modules |= state_space_modules(recurrent, f"layers.{layer}.mixer", prefix)
    return make_spec(
        config,
        layers=layers,
        final_norm=norm,
        modules=modules,
        end_token_id=2,
        embedding_scale=config.get("embedding_multiplier", float, 1.0),
        logit_scale=1.0 / config.get("logits_scaling", float, 1.0),
    )


def _read_attending(config: ConfigReader, num_layers: int) -> list[bool]:
    """For each layer, whether it attends. Without the key all layers are recurrent."""
    kinds = config.get("layer_types", list) or config.get("layers_block_type", list)
    kinds = kinds or [_RECURRENT[0]] * num_layers
    if len(kinds) != num_layers or not {*map(str, kinds)} <= {*_RECURRENT, *_ATTENDING}:
        allowed = f"{_RECURRENT[0]} or {_ATTENDING[0]} for each of the {num_layers} layers"
        raise config.refuse("layer_types", kinds, allowed)
    return [kind in _ATTENDING for kind in kinds]


def _read_forward(config: ConfigReader) -> FeedForward | Experts:
    shared = FeedForward(
        size=config.get("shared_intermediate_size", int, 1024), activation=read_activation(config)
    )
    count = config.get("num_local_experts", int, 8)
    if not count:
        return shared
    return Experts(
        router=Router(
            num_experts=count,
            top_k=config.get("num_experts_per_tok", int, 2),
            renormalise=True,
        ),
        expert=replace(shared, size=config.require("intermediate_size", int)),
        shared=shared,
    )


def _modules(config: ConfigReader, forward: FeedForward | Experts) -> dict[str, ModuleSource]:
    """Gate and up are one matrix, and all experts one tensor, unless the config says that they are separate, as in GGUF."""
    apart = config.get("separate_experts", bool, False)
    found = expert_modules(block="block_sparse_moe", router="router.layer")
    shared = forward.shared if isinstance(forward, Experts) else forward
    at = f"{_FORWARD}.shared" if isinstance(forward, Experts) else _FORWARD
    assert shared is not None, "there is always one"
    if apart:
        return found | {
            f"{at}.{name}": ModuleSource(f"{_SHARED}.{name}_proj")
            for name in ("gate", "up", "down")
        }
    into, size = f"{_SHARED}.input_linear", shared.size
    found |= {
        f"{at}.gate": ModuleSource(into, (Split(0, size),)),
        f"{at}.up": ModuleSource(into, (Split(size, 2 * size),)),
        f"{at}.down": ModuleSource(f"{_SHARED}.output_linear"),
    }
    if isinstance(forward, Experts):
        expert, into, size = (
            f"{_FORWARD}.experts.{{e}}",
            f"{_BLOCK}.input_linear",
            forward.expert.size,
        )
        found |= {
            f"{expert}.gate": ModuleSource(into, (Entry(), Split(0, size))),
            f"{expert}.up": ModuleSource(into, (Entry(), Split(size, 2 * size))),
            f"{expert}.down": ModuleSource(f"{_BLOCK}.output_linear", (Entry(),)),
        }
    return found
