"""EXAONE 3, InternLM 2 and MiniCPM as data: Llama under other names, with fused matrices or with multipliers."""

from __future__ import annotations

from math import sqrt

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import (
    STANDARD_MODULES,
    make_spec,
    read_feed_forward,
    read_rope,
    read_shape,
)
from jackfield.model_spec import Layer, ModelSpec, ModuleSource, SplitGroups
from jackfield_llama.layers import build, read_norm

_EXAONE = {
    "mixer_norm": "ln_1",
    "mixer.q": "attn.attention.q_proj",
    "mixer.k": "attn.attention.k_proj",
    "mixer.v": "attn.attention.v_proj",
    "mixer.o": "attn.attention.out_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.gate": "mlp.c_fc_0",
    "feed_forward.up": "mlp.c_fc_1",
    "feed_forward.down": "mlp.c_proj",
}
_INTERNLM2 = {
    "mixer_norm": "attention_norm",
    "mixer.o": "attention.wo",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "feed_forward.w1",
    "feed_forward.up": "feed_forward.w3",
    "feed_forward.down": "feed_forward.w2",
}


def exaone(config: ConfigReader) -> ModelSpec:
    """LG AI Research 2024 (EXAONE 3.0, 3.5): Llama under GPT-2's names."""
    config = config.filled(
        num_hidden_layers=config.get("num_layers", int),
        hidden_act=config.get("activation_function", str, "silu"),
        rms_norm_eps=config.get("layer_norm_epsilon", float, 1e-5),
        max_position_embeddings=2048,
    )
    shape = read_shape(config)
    mixer = shape.attention(rope=read_rope(config, shape.head_size))
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        **_block("transformer.h.{i}", _EXAONE),
        "final_norm": ModuleSource("transformer.ln_f"),
        "head": ModuleSource("lm_head"),
    }
    return build(
        config,
        (mixer,) * shape.num_layers,
        read_feed_forward(config),
        read_norm(config),
        modules=modules,
        end_token_id=2,
        tied_head=True,
    )


def internlm2(config: ConfigReader) -> ModelSpec:
    """Cai et al. 2024 (InternLM 2, 2.5): the rows of q, k and v are one matrix, in a part for each key-value head."""
    config = config.filled(max_position_embeddings=2048)
    shape = read_shape(config)
    bias = config.get("bias", bool, True)
    mixer = shape.attention(rope=read_rope(config, shape.head_size), qkv_bias=bias, out_bias=bias)
    block = "model.layers.{i}"
    size = shape.head_size
    queries = shape.num_heads // shape.num_kv_heads * size
    rows = {
        "q": (0, queries),
        "k": (queries, queries + size),
        "v": (queries + size, queries + 2 * size),
    }
    modules = {
        "embedding": ModuleSource("model.tok_embeddings"),
        **_block(block, _INTERNLM2),
        **{
            f"layers.{{i}}.mixer.{name}": ModuleSource(
                f"{block}.attention.wqkv", (SplitGroups(shape.num_kv_heads, *part),)
            )
            for name, part in rows.items()
        },
        "final_norm": ModuleSource("model.norm"),
        "head": ModuleSource("output"),
    }
    return build(
        config,
        (mixer,) * shape.num_layers,
        read_feed_forward(config),
        read_norm(config),
        modules=modules,
        end_token_id=2,
    )


def minicpm(config: ConfigReader) -> ModelSpec:
    """Hu et al. 2024 (MiniCPM 1 and 2, MiniCPM4 without sparse attention): Llama with three multipliers."""
    if sparse := config.get("sparse_config", dict):
        raise config.refuse("sparse_config", sparse, "a model without it")
    config = config.filled(max_position_embeddings=2048)
    shape = read_shape(config)
    norm = read_norm(config)
    bias = config.get("attention_bias", bool, False)
    depth = config.get("scale_depth", float, 1.0)
    layer = Layer(
        mixer=shape.attention(
            rope=read_rope(config, shape.head_size), qkv_bias=bias, out_bias=bias
        ),
        feed_forward=read_feed_forward(config),
        mixer_norm=norm,
        feed_forward_norm=norm,
        residual_scale=depth / sqrt(shape.num_layers),
    )
    return make_spec(
        config,
        layers=(layer,) * shape.num_layers,
        final_norm=norm,
        modules=STANDARD_MODULES,
        end_token_id=2,
        tied_head=True,
        embedding_scale=config.get("scale_emb", float, 1.0),
        logit_scale=config.get("dim_model_base", int, 1) / shape.hidden_size,
    )


def _block(prefix: str, names: dict[str, str]) -> dict[str, ModuleSource]:
    return {f"layers.{{i}}.{name}": ModuleSource(f"{prefix}.{own}") for name, own in names.items()}
