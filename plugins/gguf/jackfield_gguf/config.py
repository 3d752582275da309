"""From metadata to the canonical config: the keys of config.json, with `architectures`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jackfield.errors import CheckpointError, UnsupportedModelError
from jackfield_gguf.decoder_config import read_decoder
from jackfield_gguf.expert_config import (
    deepseek2,
    gpt_oss,
    llama4,
    mixtral,
    olmoe,
    qwen2_moe,
    qwen3_moe,
)
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.recurrent_config import falcon_h1, granite_hybrid, mamba2, qwen3_next

# Dtypes of unquantised files. All other files were bfloat16 before they were quantised.
_FILE_TYPE_DTYPES = {0: "float32", 1: "float16"}
_GEMMA2_27B_LAYERS = 46
_GEMMA3_27B_LAYERS = 62


def read_config(metadata: Metadata) -> dict[str, Any]:
    """The config of the file. Raises UnsupportedModelError for an unknown architecture."""
    builder = _BUILDERS.get(metadata.architecture)
    if builder is None:
        raise UnsupportedModelError(
            f"{metadata.path} has the architecture {metadata.architecture!r}; supported in GGUF: "
            f"{', '.join(sorted(_BUILDERS))}. Use the model's original checkpoint"
        )
    return {**_common(metadata), **builder(metadata)}


def _common(metadata: Metadata) -> dict[str, Any]:
    file = metadata.file
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise CheckpointError(
            f"{metadata.path} has no tensor 'token_embd.weight'; a whole model is needed. "
            "Download it again"
        )
    config: dict[str, Any] = {
        "vocab_size": embedding.shape[0],
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "dtype": _FILE_TYPE_DTYPES.get(file.get("general.file_type", -1), "bfloat16"),
    }
    ids = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    for key, word in ids.items():
        if f"tokenizer.ggml.{word}_token_id" in file:
            config[key] = file[f"tokenizer.ggml.{word}_token_id"]
    # Without the key a family would take its default, but the file means none.
    config.setdefault("eos_token_id", None)
    return config


def _llama(metadata: Metadata) -> dict[str, Any]:
    tensors = metadata.file.tensors
    config = {
        **read_decoder(metadata),
        "architectures": ["LlamaForCausalLM"],  # Mistral's models are also written as llama
        "model_type": "llama",
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }
    return config | mixtral(metadata) if metadata.get("expert_count", int) else config


def _qwen2(metadata: Metadata) -> dict[str, Any]:
    return {
        **read_decoder(metadata),
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "use_sliding_window": False,
    }


def _qwen3(metadata: Metadata) -> dict[str, Any]:
    return {
        **read_decoder(metadata),
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": "blk.0.attn_q.bias" in metadata.file.tensors,
        "use_sliding_window": False,
    }


def _gemma(metadata: Metadata) -> dict[str, Any]:
    act = "gelu_pytorch_tanh"
    return {
        **read_decoder(metadata),
        "architectures": ["GemmaForCausalLM"],
        "model_type": "gemma",
        "hidden_act": act,
        "hidden_activation": act,
    }


def _gemma2(metadata: Metadata) -> dict[str, Any]:
    config = _gemma(metadata)
    num_layers = config["num_hidden_layers"]
    return {
        **config,
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "query_pre_attn_scalar": _query_scalar(config, num_layers == _GEMMA2_27B_LAYERS),
        "attn_logit_softcapping": metadata.get("attn_logit_softcapping", float, 50.0),
        "final_logit_softcapping": metadata.get("final_logit_softcapping", float, 30.0),
        "sliding_window": metadata.get("attention.sliding_window", int, 4096),
        "layer_types": _layer_types(num_layers, 2),
    }


def _gemma3(metadata: Metadata) -> dict[str, Any]:
    """Files leave out the pattern of windows, the base of their rope, and the scale of queries."""
    config = _gemma(metadata)
    num_layers = config["num_hidden_layers"]
    pattern = _window_pattern(metadata)
    return {
        **config,
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "rope_theta": metadata.get("rope.freq_base", float, 1_000_000.0),
        "rope_local_base_freq": metadata.get("rope.freq_base_swa", float, 10_000.0),
        "query_pre_attn_scalar": _query_scalar(config, num_layers == _GEMMA3_27B_LAYERS),
        "final_logit_softcapping": metadata.get("final_logit_softcapping", float),
        "sliding_window": metadata.get("attention.sliding_window", int, 1024),
        "sliding_window_pattern": pattern,
        "layer_types": _layer_types(num_layers, pattern),
    }


def _gpt2(metadata: Metadata) -> dict[str, Any]:
    context = metadata.require("context_length", int)
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": metadata.require("embedding_length", int),
        "n_layer": metadata.require("block_count", int),
        "n_head": metadata.require("attention.head_count", int),
        "n_inner": metadata.require("feed_forward_length", int),
        "n_positions": context,
        "n_ctx": context,
        "layer_norm_epsilon": metadata.require("attention.layer_norm_epsilon", float),
        "activation_function": "gelu_new",
    }


def _query_scalar(config: dict[str, Any], is_27b: bool) -> int:
    """The 27-billion models divide by the root of hidden size / heads, the others by that of the head size."""
    if is_27b:
        return int(config["hidden_size"] // config["num_attention_heads"])
    return int(config["head_dim"])


def _window_pattern(metadata: Metadata) -> int:
    """The period of layers that see all tokens. Newer files state it as a number."""
    return metadata.get("attention.sliding_window_pattern", int, 6)


def _layer_types(num_layers: int, pattern: int) -> list[str]:
    kinds = ("full_attention", "sliding_attention")
    return [kinds[(layer + 1) % pattern > 0] for layer in range(num_layers)]


_BUILDERS: dict[str, Callable[[Metadata], dict[str, Any]]] = {
    "llama": _llama,
    "llama4": llama4,
    "qwen2": _qwen2,
    "qwen2moe": lambda metadata: {**_qwen2(metadata), **qwen2_moe(metadata)},
    "qwen3": _qwen3,
    "qwen3moe": lambda metadata: {**_qwen3(metadata), **qwen3_moe(metadata)},
    "qwen3next": qwen3_next,
    "olmoe": olmoe,
    "gpt-oss": gpt_oss,
    "deepseek2": deepseek2,
    "mamba2": mamba2,
    "falcon-h1": falcon_h1,
    "granitehybrid": granite_hybrid,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": _gpt2,
}
