"""Mixtures of experts: from metadata to the keys of config.json.

If files do not state something, llama.cpp's value holds: for most architectures it fixes how experts are chosen and
scaled.
"""

from __future__ import annotations

from typing import Any

from jackfield.errors import UnsupportedModelError
from jackfield_gguf.decoder_config import read_decoder
from jackfield_gguf.metadata import Metadata

_EXPERTS_OF_MAVERICK = 128  # the one of Llama 4's models that does not normalise heads
_SIGMOID = 2  # ExpertGatingFuncType of the `gguf` package


def mixtral(metadata: Metadata) -> dict[str, Any]:
    """The differences from Llama."""
    return {
        **_counts(metadata, "num_local_experts"),
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
    }


def qwen2_moe(metadata: Metadata) -> dict[str, Any]:
    """The differences from Qwen2. In all released models the weights of experts are not renormalised."""
    shared = metadata.get("expert_shared_feed_forward_length", int)
    return {
        **_counts(metadata, "num_experts"),
        "architectures": ["Qwen2MoeForCausalLM"],
        "model_type": "qwen2_moe",
        "moe_intermediate_size": _expert_size(metadata),
        "shared_expert_intermediate_size": shared or _rows(metadata, "ffn_up_shexp", 0),
        "qkv_bias": "blk.0.attn_q.bias" in metadata.file.tensors,
        "norm_topk_prob": False,
    }


def qwen3_moe(metadata: Metadata) -> dict[str, Any]:
    """The differences from Qwen3. In all released models the weights of experts are renormalised."""
    return {
        **_counts(metadata, "num_experts"),
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "moe_intermediate_size": _expert_size(metadata),
        "norm_topk_prob": True,
    }


def olmoe(metadata: Metadata) -> dict[str, Any]:
    """Weights of experts are not renormalised."""
    return {
        **read_decoder(metadata),
        **_counts(metadata, "num_experts"),
        "architectures": ["OlmoeForCausalLM"],
        "model_type": "olmoe",
        "attention_bias": False,
        "norm_topk_prob": False,
    }


def gpt_oss(metadata: Metadata) -> dict[str, Any]:
    """Windows are in every other layer; yarn's ramps are not rounded to whole pairs; each expert is stored by itself."""
    config = read_decoder(metadata)
    kinds = ("sliding_attention", "full_attention")
    if scaling := config.get("rope_scaling"):
        scaling["truncate"] = False
    return {
        **config,
        **_counts(metadata, "num_local_experts"),
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "attention_bias": "blk.0.attn_q.bias" in metadata.file.tensors,
        "intermediate_size": _expert_size(metadata),
        "sliding_window": metadata.require("attention.sliding_window", int),
        "layer_types": [kinds[layer % 2] for layer in range(config["num_hidden_layers"])],
        "separate_experts": True,
    }


def llama4(metadata: Metadata) -> dict[str, Any]:
    """Files leave out chunks and temperatures, which are those of Scout and Maverick; each expert is stored by itself."""
    config = read_decoder(metadata)
    counts = _counts(metadata, "num_local_experts")
    step = metadata.require("interleave_moe_layer_step", int)
    if metadata.get("attention.sliding_window", int) == 0 or step < 1:
        raise UnsupportedModelError(
            f"{metadata.path} is of a kind of Llama 4 without chunks or experts (llama4.attention.sliding_window, "
            "llama4.interleave_moe_layer_step); Scout, Maverick and what has their layers are supported. "
            "Use the model's original checkpoint"
        )
    return {
        **config,
        **counts,
        "architectures": ["Llama4ForCausalLM"],
        "model_type": "llama4_text",
        "attention_bias": "blk.0.attn_q.bias" in metadata.file.tensors,
        "intermediate_size_mlp": config["intermediate_size"],
        "intermediate_size": _expert_size(metadata),
        "interleave_moe_layer_step": step,
        "no_rope_layer_interval": 4,
        "attention_chunk_size": 8192,
        "floor_scale": 8192,
        "attn_scale": 0.1,
        "use_qk_norm": counts["num_local_experts"] != _EXPERTS_OF_MAVERICK,
        "separate_experts": True,
    }


def deepseek2(metadata: Metadata) -> dict[str, Any]:
    """DeepSeek-V3 if experts are chosen by sigmoid, otherwise V2. Files state sizes as if one head held the latent
    vector.
    """
    decoder = read_decoder(metadata)
    num_layers = decoder["num_hidden_layers"]
    is_v3 = metadata.get("expert_gating_func", int) == _SIGMOID
    num_groups = metadata.get("expert_group_count", int, 1)
    renormalised = metadata.get("expert_weights_norm", bool, False)
    if renormalised and not is_v3:
        raise UnsupportedModelError(
            f"{metadata.path} renormalises the weights of experts that a softmax chose (deepseek2.expert_weights_norm); "
            "that is supported where a sigmoid chooses. Use the model's original checkpoint"
        )
    rotary_size = metadata.require("rope.dimension_count", int)
    key_size = metadata.get("attention.key_length_mla", int)  # missing in older files
    value_size = metadata.get("attention.value_length_mla", int)
    return {
        **{name: decoder[name] for name in decoder if name != "head_dim"},
        "architectures": ["DeepseekV3ForCausalLM" if is_v3 else "DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v3" if is_v3 else "deepseek_v2",
        "num_key_value_heads": decoder["num_attention_heads"],
        "attention_bias": "blk.0.attn_q_a.bias" in metadata.file.tensors,
        "q_lora_rank": metadata.get("attention.q_lora_rank", int),
        "kv_lora_rank": metadata.require("attention.kv_lora_rank", int),
        "qk_rope_head_dim": rotary_size,
        "qk_nope_head_dim": (key_size or metadata.require("attention.key_length", int))
        - rotary_size,
        "v_head_dim": value_size or metadata.require("attention.value_length", int),
        "n_routed_experts": metadata.get("expert_count", int) or 1,
        "num_experts_per_tok": metadata.get("expert_used_count", int) or 1,
        "n_shared_experts": metadata.get("expert_shared_count", int, 0),
        "moe_intermediate_size": metadata.require("expert_feed_forward_length", int),
        "first_k_dense_replace": metadata.get("leading_dense_block_count", int, 0)
        if metadata.get("expert_count", int)
        else num_layers,
        "routed_scaling_factor": metadata.get("expert_weights_scale", float) or 1.0,
        "norm_topk_prob": renormalised,
        "topk_method": "group_limited_greedy" if num_groups > 1 else "greedy",
        "n_group": num_groups,
        "topk_group": metadata.get("expert_group_used_count", int, 1),
        **_scaling(metadata, decoder),
    }


def _scaling(metadata: Metadata, decoder: dict[str, Any]) -> dict[str, Any]:
    """Yarn that also scales the scores. Files keep a tenth of its factor, and mean the same factor for the rotation."""
    scaling, logarithm = (
        decoder.get("rope_scaling"),
        metadata.get("rope.scaling.yarn_log_multiplier", float),
    )
    if not scaling or not logarithm:
        return {}
    factor = float(f"{10 * logarithm:.6g}")  # the factor is stored with 32 bits
    return {"rope_scaling": {**scaling, "mscale": factor, "mscale_all_dim": factor}}


def _counts(metadata: Metadata, key: str) -> dict[str, int]:
    return {
        key: metadata.require("expert_count", int),
        "num_experts_per_tok": metadata.require("expert_used_count", int),
    }


def _expert_size(metadata: Metadata) -> int:
    """The size of an expert, which older files do not state."""
    size = metadata.get("expert_feed_forward_length", int)
    return size or _rows(metadata, "ffn_up_exps", 1)


def _rows(metadata: Metadata, module: str, axis: int) -> int:
    found = metadata.file.tensors.get(f"blk.0.{module}.weight")
    if found is None:
        return metadata.require("expert_feed_forward_length", int)
    return found.shape[axis]
