"""BLOOM as data: alibi instead of positions, a norm over embeddings, and q, k and v fused head by head."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource
from jackfield_gpt.parts import block, checked_heads, fused_by_group, read_layer_norm

_BLOCK = "transformer.h.{i}"
_NAMES = {
    "mixer_norm": "input_layernorm",
    "mixer.o": "self_attention.dense",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.up": "mlp.dense_h_to_4h",
    "feed_forward.down": "mlp.dense_4h_to_h",
}
_LENGTH = 2048  # tokens of its training; configs need not state them


def bloom(config: ConfigReader) -> ModelSpec:
    """BigScience Workshop 2022."""
    if config.get("apply_residual_connection_post_layernorm", bool, False):
        raise config.refuse("apply_residual_connection_post_layernorm", True, "false")
    hidden_size, num_heads = config.require("hidden_size", int), config.require("n_head", int)
    head_size = checked_heads(config, hidden_size, num_heads, "n_head")
    norm = read_layer_norm(config)
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_size=head_size,
            scale=head_size**-0.5,
            qkv_bias=True,
            out_bias=True,
            alibi=True,
        ),
        feed_forward=FeedForward(
            size=4 * hidden_size, activation="gelu_tanh", gated=False, bias=True
        ),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    modules = {
        "embedding": ModuleSource("transformer.word_embeddings"),
        "embedding_norm": ModuleSource("transformer.word_embeddings_layernorm"),
        **block(_BLOCK, _NAMES),
        **fused_by_group(f"{_BLOCK}.self_attention.query_key_value", num_heads, (head_size,) * 3),
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("n_layer", int),
        final_norm=norm,
        modules=modules,
        tied_head=True,
        end_token_id=2,
        embedding_norm=norm,
        max_length=config.get("seq_length", int, _LENGTH),
    )
