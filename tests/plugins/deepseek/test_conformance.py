"""DeepSeek-V2 and V3 and MiniCPM3 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model

LATENT = {
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "kv_lora_rank": 24,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "head_dim": 8,
    "v_head_dim": 20,
    "pad_token_id": 0,
}
EXPERTS = {
    "moe_intermediate_size": 48,
    "num_experts_per_tok": 3,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.7,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "mscale": 0.7,
    "mscale_all_dim": 0.9,
    "beta_fast": 8,
    "beta_slow": 1,
}


class TestDeepseekV2(ModelKit):
    name = "DeepseekV2ForCausalLM"
    configs: ClassVar = {
        "lite": {**LATENT, **EXPERTS, "q_lora_rank": None, "rope_parameters": YARN},
        "groups": {
            **LATENT, **EXPERTS, "q_lora_rank": 28, "topk_method": "group_limited_greedy", "n_group": 4,
            "topk_group": 2, "attention_bias": True,
        },
    }  # fmt: skip


class TestDeepseekV3(ModelKit):
    name = "DeepseekV3ForCausalLM"
    configs: ClassVar = {
        "yarn": {
            **LATENT, **EXPERTS, "q_lora_rank": 28, "n_group": 4, "topk_group": 2, "rope_parameters": YARN,
        }
    }  # fmt: skip


class TestMiniCPM3(ModelKit):
    name = "MiniCPM3ForCausalLM"
    configs: ClassVar = {"tiny": {**LATENT, "q_lora_rank": 28, "dim_model_base": 32}}
