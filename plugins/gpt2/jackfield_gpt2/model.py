"""GPT-2 as data: learned positions, layer norms, and matrices that are stored transposed and fused."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation
from jackfield.model_spec import (
    Attention,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Norm,
    Split,
    Transpose,
)


def gpt2(config: ConfigReader) -> ModelSpec:
    """Radford et al. 2019."""
    if config.get("add_cross_attention", bool, False):
        raise config.refuse("add_cross_attention", True, "false")
    hidden_size = config.require("n_embd", int)
    num_heads = config.require("n_head", int)
    if hidden_size % num_heads:
        raise config.refuse("n_head", num_heads, f"divisors of n_embd={hidden_size}")
    max_length = config.require("n_positions", int)
    layers = range(config.require("n_layer", int))
    return make_spec(
        config,
        layers=tuple(_layer(config, index, hidden_size, num_heads) for index in layers),
        final_norm=_norm(config),
        modules=_modules(hidden_size),
        tied_head=True,
        end_token_id=50256,
        hidden_size=hidden_size,
        max_length=max_length,
        learned_positions=max_length,
    )


def _norm(config: ConfigReader) -> Norm:
    epsilon = config.get("layer_norm_epsilon", float, 1e-5)
    return Norm(kind="layer", epsilon=epsilon, bias=True)


def _layer(config: ConfigReader, index: int, hidden_size: int, num_heads: int) -> Layer:
    head_size = hidden_size // num_heads
    norm = _norm(config)
    scale = head_size**-0.5 if config.get("scale_attn_weights", bool, True) else 1.0
    if config.get("scale_attn_by_inverse_layer_idx", bool, False):
        scale /= index + 1
    return Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_size=head_size,
            scale=scale,
            qkv_bias=True,
            out_bias=True,
        ),
        feed_forward=FeedForward(
            size=config.get("n_inner", int, 4 * hidden_size),
            activation=read_activation(config, "activation_function", "gelu_new"),
            gated=False,
            bias=True,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )


def _modules(hidden_size: int) -> dict[str, ModuleSource]:
    block = "transformer.h.{i}"
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        "positions": ModuleSource("transformer.wpe"),
        "layers.{i}.mixer_norm": ModuleSource(f"{block}.ln_1"),
        "layers.{i}.mixer.o": ModuleSource(f"{block}.attn.c_proj", (Transpose(),)),
        "layers.{i}.feed_forward_norm": ModuleSource(f"{block}.ln_2"),
        "layers.{i}.feed_forward.up": ModuleSource(f"{block}.mlp.c_fc", (Transpose(),)),
        "layers.{i}.feed_forward.down": ModuleSource(f"{block}.mlp.c_proj", (Transpose(),)),
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    for number, name in enumerate("qkv"):  # one matrix [in, 3 * hidden] holds all three
        rows = Split(number * hidden_size, (number + 1) * hidden_size)
        source = ModuleSource(f"{block}.attn.c_attn", (Transpose(), rows))
        modules[f"layers.{{i}}.mixer.{name}"] = source
    return modules
