"""GPT-J and CodeGen as data: both halves of a layer read one norm, and leading elements of heads rotate in pairs."""

from __future__ import annotations

from collections.abc import Mapping

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation
from jackfield.model_spec import (
    Attention,
    FeedForward,
    Layer,
    ModelSpec,
    ModuleSource,
    Rope,
    SplitGroups,
)
from jackfield_gpt.parts import block, checked_heads, read_layer_norm

_BLOCK = "transformer.h.{i}"
# CodeGen's matrix is cut for four ranks, each with its share of q, v and k, in this order.
_CHUNKS = 4
_NAMES = {
    "mixer_norm": "ln_1",
    "mixer.o": "attn.out_proj",
    "feed_forward.up": "mlp.fc_in",
    "feed_forward.down": "mlp.fc_out",
}


def gptj(config: ConfigReader) -> ModelSpec:
    """Wang and Komatsuzaki 2021."""
    names = {f"mixer.{name}": f"attn.{name}_proj" for name in "qkv"}
    return _build(config, block(_BLOCK, names))


def codegen(config: ConfigReader) -> ModelSpec:
    """Nijkamp et al. 2023: GPT-J with q, k and v in one matrix."""
    size = config.require("n_embd", int) // _CHUNKS
    if config.require("n_head", int) % _CHUNKS:
        raise config.refuse("n_head", config.values["n_head"], f"multiples of {_CHUNKS}")
    return _build(
        config,
        {
            f"layers.{{i}}.mixer.{name}": ModuleSource(
                f"{_BLOCK}.attn.qkv_proj",
                (SplitGroups(_CHUNKS, place * size, (place + 1) * size),),
            )
            for place, name in enumerate("qvk")
        },
    )


def _build(config: ConfigReader, projections: Mapping[str, ModuleSource]) -> ModelSpec:
    hidden_size, num_heads = config.require("n_embd", int), config.require("n_head", int)
    head_size = checked_heads(config, hidden_size, num_heads, "n_head")
    norm = read_layer_norm(config)
    rotary_size = config.nullable("rotary_dim", int, 64)
    if rotary_size is None:
        raise config.refuse("rotary_dim", None, "a number of elements")
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_size=head_size,
            scale=head_size**-0.5,
            rope=Rope(theta=10_000.0, rotary_size=rotary_size, interleaved=True),
        ),
        feed_forward=FeedForward(
            size=config.get("n_inner", int, 4 * hidden_size),
            activation=read_activation(config, "activation_function", "gelu_new"),
            gated=False,
            bias=True,
        ),
        mixer_norm=norm,
        feed_forward_norm=None,
        parallel=True,
    )
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        **block(_BLOCK, _NAMES),
        **projections,
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("n_layer", int),
        final_norm=norm,
        modules=modules,
        end_token_id=50256,
        hidden_size=hidden_size,
        max_length=config.require("n_positions", int),
        head_bias=True,
    )
