"""State spaces, with or without attention: from metadata to the keys of config.json."""

from __future__ import annotations

from typing import Any

from jackfield_gguf.decoder_config import read_decoder
from jackfield_gguf.metadata import Metadata


def mamba2(metadata: Metadata) -> dict[str, Any]:
    """A state space in each layer, and nothing else."""
    num_heads = metadata.require("ssm.time_step_rank", int)
    tensors = metadata.file.tensors
    return {
        "architectures": ["Mamba2ForCausalLM"],
        "model_type": "mamba2",
        "hidden_size": metadata.require("embedding_length", int),
        "num_hidden_layers": metadata.require("block_count", int),
        "num_heads": num_heads,
        "head_dim": metadata.require("ssm.inner_size", int) // num_heads,
        "state_size": metadata.require("ssm.state_size", int),
        "n_groups": metadata.require("ssm.group_count", int),
        "conv_kernel": metadata.require("ssm.conv_kernel", int),
        "use_conv_bias": "blk.0.ssm_conv1d.bias" in tensors,
        "use_bias": "blk.0.ssm_in.bias" in tensors,
        "layer_norm_epsilon": metadata.require("attention.layer_norm_rms_epsilon", float),
        "max_position_embeddings": metadata.require("context_length", int),
        "hidden_act": "silu",
    }


def falcon_h1(metadata: Metadata) -> dict[str, Any]:
    """Its many factors are included in the matrices that they multiply; a norm follows the gate."""
    tensors = metadata.file.tensors
    return {
        **read_decoder(metadata),
        **_state_space(metadata, 0),
        "architectures": ["FalconH1ForCausalLM"],
        "model_type": "falcon_h1",
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
        "mamba_d_ssm": metadata.require("ssm.inner_size", int),
        "mamba_rms_norm": "blk.0.ssm_norm.weight" in tensors,
        "mamba_norm_before_gate": False,
        "projectors_bias": "blk.0.ssm_out.bias" in tensors,
    }


def qwen3_next(metadata: Metadata) -> dict[str, Any]:
    """Three layers of gated delta networks for each layer of attention, unless the file states another interval."""
    decoder, tensors = read_decoder(metadata), metadata.file.tensors
    num_heads = metadata.require("ssm.time_step_rank", int)
    rotary_size = metadata.get("rope.dimension_count", int, decoder["head_dim"])
    return {
        **decoder,
        "architectures": ["Qwen3NextForCausalLM"],
        "model_type": "qwen3_next",
        "partial_rotary_factor": rotary_size / decoder["head_dim"],
        "full_attention_interval": metadata.get("full_attention_interval", int, 4),
        "linear_num_value_heads": num_heads,
        "linear_value_head_dim": metadata.require("ssm.inner_size", int) // num_heads,
        "linear_num_key_heads": metadata.require("ssm.group_count", int),
        "linear_key_head_dim": metadata.require("ssm.state_size", int),
        "linear_conv_kernel_dim": metadata.require("ssm.conv_kernel", int),
        "separate_projections": any(name.endswith("attn_qkv.weight") for name in tensors),
        "num_experts": metadata.require("expert_count", int),
        "num_experts_per_tok": metadata.require("expert_used_count", int),
        "moe_intermediate_size": metadata.require("expert_feed_forward_length", int),
        "shared_expert_intermediate_size": metadata.require(
            "expert_shared_feed_forward_length", int
        ),
        "norm_topk_prob": True,  # in all released models
    }


def rotates(metadata: Metadata) -> bool:
    """Whether attention in granitehybrid has rotary positions."""
    return metadata.get("rope.scaling.finetuned", bool, True)


def granite_hybrid(metadata: Metadata) -> dict[str, Any]:
    """Bamba if attention rotates, otherwise Granite 4. Layers without heads of keys are recurrent."""
    tensors = metadata.file.tensors
    decoder, heads = read_decoder(metadata), metadata.kv_heads_of_layers
    attending = [layer for layer, count in enumerate(heads) if count]
    recurrent = next((layer for layer, count in enumerate(heads) if not count), 0)
    rotary_size = metadata.get("rope.dimension_count", int, decoder["head_dim"])
    return {
        **decoder,
        **_state_space(metadata, recurrent),
        "architectures": ["BambaForCausalLM"],
        "model_type": "bamba",
        **({} if rotates(metadata) else _granite(metadata, heads)),
        "attn_layer_indices": attending,
        "partial_rotary_factor": rotary_size / decoder["head_dim"],
        "attention_bias": any(f"blk.{layer}.attn_q.bias" in tensors for layer in attending),
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
        "mamba_expand": metadata.require("ssm.inner_size", int) // decoder["hidden_size"],
    }


def _granite(metadata: Metadata, heads: list[int]) -> dict[str, Any]:
    """The keys of Granite 4 beyond Bamba. A file without experts has one feed-forward."""
    num_experts = metadata.get("expert_count", int, 0)
    shared = "expert_shared_feed_forward_length" if num_experts else "feed_forward_length"
    return {
        "architectures": ["GraniteMoeHybridForCausalLM"],
        "model_type": "granitemoehybrid",
        "layer_types": ["full_attention" if count else "linear_attention" for count in heads],
        "attention_multiplier": metadata.get("attention.scale", float, 1.0),
        "embedding_multiplier": metadata.get("embedding_scale", float, 1.0),
        "residual_multiplier": metadata.get("residual_scale", float, 1.0),
        "logits_scaling": metadata.get("logit_scale", float, 1.0),
        "num_local_experts": num_experts,
        "num_experts_per_tok": metadata.get("expert_used_count", int, 0),
        "shared_intermediate_size": metadata.require(shared, int),
        "separate_experts": True,
    }


def _state_space(metadata: Metadata, layer: int) -> dict[str, Any]:
    """The keys that hybrids share. `layer` is a layer with a state."""
    num_heads = metadata.require("ssm.time_step_rank", int)
    return {
        "mamba_n_heads": num_heads,
        "mamba_d_head": metadata.require("ssm.inner_size", int) // num_heads,
        "mamba_n_groups": metadata.require("ssm.group_count", int),
        "mamba_d_state": metadata.require("ssm.state_size", int),
        "mamba_d_conv": metadata.require("ssm.conv_kernel", int),
        "mamba_conv_bias": f"blk.{layer}.ssm_conv1d.bias" in metadata.file.tensors,
        "mamba_proj_bias": f"blk.{layer}.ssm_in.bias" in metadata.file.tensors,
    }
