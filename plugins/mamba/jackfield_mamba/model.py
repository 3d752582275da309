"""Mamba-2, Bamba and Falcon-H1 as data."""

from __future__ import annotations

from dataclasses import replace

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import (
    FeedForward,
    Layer,
    Mamba2,
    ModelSpec,
    ModuleSource,
    Norm,
    ParallelMixers,
)
from jackfield_mamba.state_space import read_state_space, read_step_limits, state_space_modules

_LENGTH = 32_768  # most tokens of a request if the config has no limit; a recurrence has none
_DEFAULTS = {
    "num_key_value_heads": 8, "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_conv": 4,
    "mamba_expand": 2,
}  # fmt: skip
_HYBRID_MODULES = {
    **STANDARD_MODULES,
    "layers.{i}.feed_forward_norm": ModuleSource("model.layers.{i}.pre_ff_layernorm"),
    "layers.{i}.feed_forward.gate": ModuleSource("model.layers.{i}.feed_forward.gate_proj"),
    "layers.{i}.feed_forward.up": ModuleSource("model.layers.{i}.feed_forward.up_proj"),
    "layers.{i}.feed_forward.down": ModuleSource("model.layers.{i}.feed_forward.down_proj"),
    "final_norm": ModuleSource("model.final_layernorm"),
}


def mamba2(config: ConfigReader) -> ModelSpec:
    """Dao and Gu 2024: a state space in each layer, and nothing else."""
    config = config.filled(num_heads=128, head_dim=64, state_size=128, n_groups=8, conv_kernel=4)
    if config.get("hidden_act", str, "silu") not in ("silu", "swish"):
        raise config.refuse("hidden_act", config.values["hidden_act"], "silu")
    norm = Norm(epsilon=config.get("layer_norm_epsilon", float, 1e-5))
    bias = config.get("use_bias", bool, False)
    least, most = read_step_limits(config)
    mixer = Mamba2(
        num_heads=config.require("num_heads", int),
        head_size=config.require("head_dim", int),
        state_size=config.require("state_size", int),
        num_groups=config.require("n_groups", int),
        conv_size=config.require("conv_kernel", int),
        norm=norm,
        conv_bias=bool(config.nullable("use_conv_bias", bool, True)),
        in_bias=bias,
        out_bias=bias,
        min_step=least,
        max_step=most,
    )
    layer = Layer(mixer=mixer, feed_forward=None, mixer_norm=norm, feed_forward_norm=None)
    here = "backbone.layers.{i}"
    modules = {
        "embedding": ModuleSource("backbone.embeddings"),
        "layers.{i}.mixer_norm": ModuleSource(f"{here}.norm"),
        **state_space_modules(mixer, "layers.{i}.mixer", f"{here}.mixer"),
        "final_norm": ModuleSource("backbone.norm_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("num_hidden_layers", int),
        final_norm=norm,
        modules=modules,
        end_token_id=2,
        max_length=config.get("max_position_embeddings", int, _LENGTH),
    )


def bamba(config: ConfigReader) -> ModelSpec:
    """IBM 2024: a state space in most layers, attention with half-rotated heads in some."""
    config = config.filled(**_DEFAULTS, max_position_embeddings=262_144)
    shape, norm = read_shape(config), Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    bias = config.get("attention_bias", bool, False)
    attention = shape.attention(
        rope=read_rope(config, shape.head_size, default_share=0.5), qkv_bias=bias, out_bias=bias
    )
    size = config.require("mamba_expand", int) * shape.hidden_size
    recurrent = replace(read_state_space(config, size), norm=norm)
    forward = _read_forward(config)
    attending = set(config.get("attn_layer_indices", list, []))
    layers = tuple(
        Layer(
            mixer=attention if layer in attending else recurrent,
            feed_forward=forward,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for layer in range(shape.num_layers)
    )
    modules = dict(_HYBRID_MODULES)
    for layer in set(range(shape.num_layers)) - attending:
        prefix = f"model.layers.{layer}.mamba"
        modules |= state_space_modules(recurrent, f"layers.{layer}.mixer", prefix)
    return make_spec(config, layers=layers, final_norm=norm, modules=modules, end_token_id=2)


def falcon_h1(config: ConfigReader) -> ModelSpec:
    """Zuo et al. 2025: attention and a state space side by side in each layer, with many constant factors."""
    config = config.filled(**_DEFAULTS, mamba_d_ssm=1024, max_position_embeddings=8192)
    shape, norm = read_shape(config), Norm(epsilon=config.get("rms_norm_eps", float, 1e-5))
    bias = config.get("attention_bias", bool, False)
    expanded = config.require("mamba_expand", int) * shape.hidden_size
    size = config.get("mamba_d_ssm", int) or expanded
    has_norm = config.get("mamba_rms_norm", bool, False)
    norm_first = config.get("mamba_norm_before_gate", bool, True)
    z, x, b, c, dt = _factors(config, "ssm_multipliers", 5)
    mixer = ParallelMixers(
        attention=shape.attention(
            rope=read_rope(config, shape.head_size),
            # The factor of keys is included here, because scores are linear in keys.
            scale=shape.head_size**-0.5 * config.get("key_multiplier", float, 1.0),
            qkv_bias=bias,
            out_bias=bias,
        ),
        recurrent=replace(
            read_state_space(config, size),
            norm=norm if has_norm else None,
            norm_before_gate=has_norm and norm_first,
            out_bias=config.get("projectors_bias", bool, False),
            scales=(z, x, b, c, dt),
        ),
        attention_in_scale=config.get("attention_in_multiplier", float, 1.0),
        attention_out_scale=config.get("attention_out_multiplier", float, 1.0),
        recurrent_in_scale=config.get("ssm_in_multiplier", float, 1.0),
        recurrent_out_scale=config.get("ssm_out_multiplier", float, 1.0),
    )
    gate, down = _factors(config, "mlp_multipliers", 2)
    forward = replace(_read_forward(config), gate_scale=gate, out_scale=down)
    layer = Layer(mixer=mixer, feed_forward=forward, mixer_norm=norm, feed_forward_norm=norm)
    attention = {
        name.replace(".mixer.", ".mixer.attention."): source
        for name, source in STANDARD_MODULES.items()
        if ".mixer." in name
    }
    here = state_space_modules(
        mixer.recurrent, "layers.{i}.mixer.recurrent", "model.layers.{i}.mamba"
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules={**_HYBRID_MODULES, **attention, **here},
        end_token_id=2,
        embedding_scale=config.get("embedding_multiplier", float, 1.0),
        logit_scale=config.get("lm_head_multiplier", float, 1.0),
    )


def _read_forward(config: ConfigReader) -> FeedForward:
    return read_feed_forward(config, bias=config.get("mlp_bias", bool, False))


def _factors(config: ConfigReader, key: str, count: int) -> list[float]:
    factors = config.get(key, list) or [1.0] * count
    if len(factors) != count:
        raise config.refuse(key, factors, f"{count} numbers")
    return [float(factor) for factor in factors]
