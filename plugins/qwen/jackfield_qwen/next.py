"""Qwen3-Next as data: three layers of gated delta networks for each layer of attention, and experts in nearly all."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_feed_forward, read_rope, read_shape
from jackfield.model_spec import (
    Attention,
    Experts,
    GatedDeltaNet,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Split,
    SplitGroups,
)
from jackfield_qwen.moe import SHARED_MODULES, read_forward, read_router

_LINEAR, _FULL = "linear_attention", "full_attention"
_DEFAULTS = {
    "num_key_value_heads": 2, "head_dim": 256, "max_position_embeddings": 32_768,
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
}  # fmt: skip


def qwen3_next(config: ConfigReader) -> ModelSpec:
    """Qwen Team 2025: an output gate, a quarter of each head rotates, and norms store their weights minus one."""
    config = config.filled(**_DEFAULTS)
    shape, epsilon = read_shape(config), config.get("rms_norm_eps", float, 1e-6)
    norm, bias = Norm(epsilon=epsilon, weight_offset=1.0), config.get("attention_bias", bool, False)
    attention = shape.attention(
        rope=read_rope(config, shape.head_size, default_share=0.25),
        q_norm=norm,
        k_norm=norm,
        qkv_bias=bias,
        out_bias=bias,
        out_gate=True,
    )
    delta_net = GatedDeltaNet(
        num_heads=config.require("linear_num_value_heads", int),
        num_key_heads=config.require("linear_num_key_heads", int),
        key_size=config.require("linear_key_head_dim", int),
        value_size=config.require("linear_value_head_dim", int),
        conv_size=config.require("linear_conv_kernel_dim", int),
        norm=Norm(epsilon=epsilon),
    )
    experts = Experts(
        router=replace(
            read_router(config, num_experts=512, top_k=10),
            renormalise=config.get("norm_topk_prob", bool, True),
        ),
        expert=read_forward(config, config.get("moe_intermediate_size", int, 512)),
        shared=read_forward(config, config.get("shared_expert_intermediate_size", int, 512)),
        shared_gate=True,
    )
    dense, step = read_feed_forward(config), config.get("decoder_sparse_step", int, 1)
    left_out = config.get("mlp_only_layers", list, [])
    kinds = _read_kinds(config, shape.num_layers)
    layers = tuple(
        Layer(
            mixer=attention if kind == _FULL else delta_net,
            feed_forward=dense if index in left_out or (index + 1) % step else experts,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for index, kind in enumerate(kinds)
    )
    modules = SHARED_MODULES | _attention_modules(attention)
    for index in (index for index, kind in enumerate(kinds) if kind == _LINEAR):
        modules |= _delta_net_modules(
            delta_net, index, apart=config.get("separate_projections", bool, False)
        )
    return make_spec(config, layers=layers, final_norm=norm, modules=modules)


def _read_kinds(config: ConfigReader, num_layers: int) -> list[str]:
    every = config.get("full_attention_interval", int, 4)
    kinds = config.get("layer_types", list)
    if kinds is None:
        kinds = [_LINEAR if (layer + 1) % every else _FULL for layer in range(num_layers)]
    if len(kinds) != num_layers or not {_LINEAR, _FULL}.issuperset(kinds):
        allowed = f"{_LINEAR} or {_FULL} for each of the {num_layers} layers"
        raise config.refuse("layer_types", kinds, allowed)
    return kinds


def _attention_modules(attention: Attention) -> dict[str, ModuleSource]:
    """The rows of each head are those of its query, followed by those of its gate."""
    heads, size, stored = (
        attention.num_heads,
        attention.head_size,
        "model.layers.{i}.self_attn.q_proj",
    )
    return {
        "layers.{i}.mixer.q": ModuleSource(stored, (SplitGroups(heads, 0, size),)),
        "layers.{i}.mixer.gate": ModuleSource(stored, (SplitGroups(heads, size, 2 * size),)),
    }


def _delta_net_modules(mixer: GatedDeltaNet, layer: int, *, apart: bool) -> dict[str, ModuleSource]:
    """The rows of each key head are those of its q and k, followed by those of v and z of the value heads that it serves.

    `apart`, as in GGUF: q of all heads, then k, then v, and z in a matrix of its own.
    """
    heads, each = mixer.num_key_heads, mixer.num_heads // mixer.num_key_heads
    module, prefix = f"layers.{layer}.mixer", f"model.layers.{layer}.linear_attn"
    found = {}
    key, value = mixer.key_size, each * mixer.value_size
    stored = {
        "in_proj_qkvz": {"q": key, "k": key, "v": value, "z": value},
        "in_proj_ba": {"beta": each, "decay": each},
    }
    for matrix, sizes in stored.items():
        start = 0
        for name, size in sizes.items():
            part = SplitGroups(heads, start, start + size)
            found[f"{module}.{name}"] = ModuleSource(f"{prefix}.{matrix}", (part,))
            start += size
    if apart:
        keys, values = heads * key, mixer.num_heads * mixer.value_size
        parts = {"q": (0, keys), "k": (keys, 2 * keys), "v": (2 * keys, 2 * keys + values)}
        found |= {
            f"{module}.{name}": ModuleSource(f"{prefix}.in_proj_qkv", (Split(*rows),))
            for name, rows in parts.items()
        }
        found[f"{module}.z"] = ModuleSource(f"{prefix}.in_proj_z")
    names = {
        "conv": "conv1d",
        "a_log": "A_log",
        "dt_bias": "dt_bias",
        "norm": "norm",
        "o": "out_proj",
    }
    return found | {f"{module}.{name}": ModuleSource(f"{prefix}.{s}") for name, s in names.items()}
