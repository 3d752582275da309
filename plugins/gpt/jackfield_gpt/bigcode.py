"""GPTBigCode (StarCoder 1) as data: GPT-2 with one key-value head for all queries."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource
from jackfield_gpt.parts import block, checked_heads, fused, fused_by_group, read_layer_norm

_BLOCK = "transformer.h.{i}"
_NAMES = {
    "mixer_norm": "ln_1",
    "mixer.o": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}


def gpt_bigcode(config: ConfigReader) -> ModelSpec:
    """Li et al. 2023, StarCoder."""
    hidden_size, num_heads = config.require("n_embd", int), config.require("n_head", int)
    head_size = checked_heads(config, hidden_size, num_heads, "n_head")
    is_multi_query = config.get("multi_query", bool, True)
    norm, max_length = read_layer_norm(config), config.require("n_positions", int)
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=1 if is_multi_query else num_heads,
            head_size=head_size,
            scale=head_size**-0.5 if config.get("scale_attn_weights", bool, True) else 1.0,
            qkv_bias=True,
            out_bias=True,
        ),
        feed_forward=FeedForward(
            size=config.get("n_inner", int, 4 * hidden_size),
            activation=read_activation(config, "activation_function", "gelu_pytorch_tanh"),
            gated=False,
            bias=True,
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    prefix = f"{_BLOCK}.attn.c_attn"
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        "positions": ModuleSource("transformer.wpe"),
        **block(_BLOCK, _NAMES),
        **(
            fused(prefix, (hidden_size, head_size, head_size))
            if is_multi_query
            else fused_by_group(prefix, num_heads, (head_size,) * 3)
        ),
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("n_layer", int),
        final_norm=norm,
        modules=modules,
        tied_head=True,
        end_token_id=50256,
        hidden_size=hidden_size,
        max_length=max_length,
        learned_positions=max_length,
    )
