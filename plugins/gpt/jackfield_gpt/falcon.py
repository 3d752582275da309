"""Falcon as data: three layouts of one fused projection and parallel halves."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec, read_activation, read_rope
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource
from jackfield_gpt.parts import block, checked_heads, fused, fused_by_group, read_layer_norm

_BLOCK = "transformer.h.{i}"


def falcon(config: ConfigReader) -> ModelSpec:
    """Almazrouei et al. 2023: 7B, 40B (`new_decoder_architecture`) and RW (neither)."""
    if config.get("alibi", bool, False):
        raise config.refuse("alibi", True, "false")
    hidden_size = config.require("hidden_size", int)
    num_heads = config.require("num_attention_heads", int)
    head_size = checked_heads(config, hidden_size, num_heads, "num_attention_heads")
    is_new = config.get("new_decoder_architecture", bool, False)
    is_multi_query = bool(config.nullable("multi_query", bool, True))
    num_kv_heads = 1 if is_multi_query else num_heads
    if is_new:
        num_kv_heads = config.get("num_kv_heads", int, num_heads)
    norm, bias = read_layer_norm(config), config.get("bias", bool, False)
    is_parallel = is_new or bool(config.nullable("parallel_attn", bool, True))
    num_norms = config.get("num_ln_in_parallel_attn", int, 2) if is_new else 1
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_size=head_size,
            scale=head_size**-0.5,
            rope=read_rope(config, head_size),
            qkv_bias=bias,
            out_bias=bias,
        ),
        feed_forward=FeedForward(
            size=config.get("ffn_hidden_size", int, 4 * hidden_size),
            activation=read_activation(config, "activation", "gelu"),
            gated=False,
            bias=bias,
        ),
        mixer_norm=norm,
        feed_forward_norm=None if is_parallel and num_norms == 1 else norm,
        parallel=is_parallel,
    )
    prefix = f"{_BLOCK}.self_attention.query_key_value"
    if is_new:
        in_group = num_heads // num_kv_heads * head_size
        sizes = (in_group, head_size, head_size)
        projections = fused_by_group(prefix, num_kv_heads, sizes)
    elif is_multi_query:
        projections = fused(prefix, (hidden_size, head_size, head_size))
    else:
        projections = fused_by_group(prefix, num_heads, (head_size,) * 3)
    has_two = is_parallel and num_norms == 2
    names = {
        "mixer_norm": "ln_attn" if has_two else "input_layernorm",
        "mixer.o": "self_attention.dense",
        "feed_forward_norm": "ln_mlp" if has_two else "post_attention_layernorm",
        "feed_forward.up": "mlp.dense_h_to_4h",
        "feed_forward.down": "mlp.dense_4h_to_h",
    }
    modules = {
        "embedding": ModuleSource("transformer.word_embeddings"),
        **block(_BLOCK, names),
        **projections,
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("num_hidden_layers", int),
        final_norm=norm,
        modules=modules,
        tied_head=True,
        end_token_id=11,
    )
