"""GPT-Neo as data: GPT-2 with windows in some layers, separate projections, and scores that are not scaled."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource
from jackfield_gpt.parts import block, checked_heads, read_layer_norm

_KINDS = {"global", "local"}
_NAMES = {
    "mixer_norm": "ln_1",
    "mixer.q": "attn.attention.q_proj",
    "mixer.k": "attn.attention.k_proj",
    "mixer.v": "attn.attention.v_proj",
    "mixer.o": "attn.attention.out_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}


def gpt_neo(config: ConfigReader) -> ModelSpec:
    """Black et al. 2021. `attention_layers` gives the layers with windows; older configs have patterns in
    `attention_types`.
    """
    hidden_size, num_heads = config.require("hidden_size", int), config.require("num_heads", int)
    head_size = checked_heads(config, hidden_size, num_heads, "num_heads")
    norm = read_layer_norm(config)
    max_length = config.require("max_position_embeddings", int)
    window = config.get("window_size", int, 256)
    forward = FeedForward(
        size=config.get("intermediate_size", int, 4 * hidden_size),
        activation=read_activation(config, "activation_function", "gelu_new"),
        gated=False,
        bias=True,
    )
    layers = tuple(
        Layer(
            mixer=Attention(
                num_heads=num_heads,
                num_kv_heads=num_heads,
                head_size=head_size,
                scale=1.0,
                window=window if kind == "local" else None,
                out_bias=True,
            ),
            feed_forward=forward,
            mixer_norm=norm,
            feed_forward_norm=norm,
        )
        for kind in _kinds(config)
    )
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        "positions": ModuleSource("transformer.wpe"),
        **block("transformer.h.{i}", _NAMES),
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=layers,
        final_norm=norm,
        modules=modules,
        tied_head=True,
        end_token_id=50256,
        max_length=max_length,
        learned_positions=max_length,
    )


def _kinds(config: ConfigReader) -> list[str]:
    num_layers = config.require("num_layers", int)
    kinds = config.get("attention_layers", list)
    if kinds is not None:
        if len(kinds) != num_layers or not {*map(str, kinds)} <= _KINDS:
            allowed = f"global or local for each of {num_layers} layers"
            raise config.refuse("attention_layers", kinds, allowed)
        return kinds
    patterns = config.get("attention_types", list, [[["global", "local"], 12]])
    allowed = f'[[["global", "local"], N]], for {num_layers} layers in all'
    try:
        kinds = [kind for pattern, times in patterns for _ in range(times) for kind in pattern]
        is_right = len(kinds) == num_layers and {*kinds} <= _KINDS
    except (TypeError, ValueError):
        raise config.refuse("attention_types", patterns, allowed) from None
    if not is_right:
        raise config.refuse("attention_types", patterns, allowed)
    return kinds
