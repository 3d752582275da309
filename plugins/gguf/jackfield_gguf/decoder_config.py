"""The metadata that Llama and its relatives share, as keys of config.json."""

from __future__ import annotations

from typing import Any

from jackfield_gguf.metadata import Metadata
from jackfield_gguf.rope import read_scaling


def read_decoder(metadata: Metadata) -> dict[str, Any]:
    """The keys that Llama and its relatives share."""
    num_heads = metadata.num_heads
    hidden_size = metadata.require("embedding_length", int)
    theta = metadata.get("rope.freq_base", float, 10_000.0)
    config: dict[str, Any] = {
        "hidden_size": hidden_size,
        "intermediate_size": metadata.require("feed_forward_length", int),
        "num_hidden_layers": metadata.require("block_count", int),
        "num_attention_heads": num_heads,
        "num_key_value_heads": metadata.num_kv_heads,
        "head_dim": metadata.get("attention.key_length", int, hidden_size // num_heads),
        "max_position_embeddings": metadata.require("context_length", int),
        "rms_norm_eps": metadata.require("attention.layer_norm_rms_epsilon", float),
        "rope_theta": theta,
        "hidden_act": "silu",
    }
    scaling = read_scaling(metadata, theta)
    if scaling:
        config["rope_scaling"] = scaling
    return config
