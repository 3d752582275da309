"""MPT as data: alibi, layer norms without a bias, and no bias in any linear."""

from __future__ import annotations

from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import make_spec
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, ModuleSource, Norm
from jackfield_gpt.parts import block, checked_heads, fused

_BLOCK = "transformer.blocks.{i}"
_NAMES = {
    "mixer_norm": "norm_1",
    "mixer.o": "attn.out_proj",
    "feed_forward_norm": "norm_2",
    "feed_forward.up": "ffn.up_proj",
    "feed_forward.down": "ffn.down_proj",
}


def mpt(config: ConfigReader) -> ModelSpec:
    """MosaicML NLP Team 2023."""
    table = config.get("attn_config", dict, {})
    attention = ConfigReader({**table, "architectures": [config.architecture]})
    if not attention.get("alibi", bool, True):
        raise config.refuse("attn_config.alibi", False, "true")
    biggest = attention.get("alibi_bias_max", int, 8)
    if biggest != 8:
        raise config.refuse("attn_config.alibi_bias_max", biggest, "8")
    hidden_size, num_heads = config.require("d_model", int), config.require("n_heads", int)
    head_size = checked_heads(config, hidden_size, num_heads, "n_heads")
    norm = Norm(kind="layer", epsilon=config.get("layer_norm_epsilon", float, 1e-5))
    layer = Layer(
        mixer=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads,
            head_size=head_size,
            scale=attention.get("softmax_scale", float, head_size**-0.5),
            qkv_clip=attention.get("clip_qkv", float) or None,
            alibi=True,
        ),
        feed_forward=FeedForward(size=4 * hidden_size, activation="gelu", gated=False),
        mixer_norm=norm,
        feed_forward_norm=norm,
    )
    modules = {
        "embedding": ModuleSource("transformer.wte"),
        **block(_BLOCK, _NAMES),
        **fused(f"{_BLOCK}.attn.Wqkv", (hidden_size,) * 3),
        "final_norm": ModuleSource("transformer.norm_f"),
        "head": ModuleSource("lm_head"),
    }
    return make_spec(
        config,
        layers=(layer,) * config.require("n_layers", int),
        final_norm=norm,
        modules=modules,
        tied_head=True,
        hidden_size=hidden_size,
        max_length=config.require("max_seq_len", int),
    )
