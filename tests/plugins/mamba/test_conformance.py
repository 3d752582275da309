"""Mamba-2, Bamba, Granite 4 and Falcon-H1 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model

STATES = {
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_n_groups": 2,
    "mamba_d_state": 12,
    "mamba_d_conv": 4,
    "mamba_chunk_size": 8,
    "time_step_limit": [0.1, 1.2],
    "pad_token_id": 0,
}

GRANITE = {
    **STATES,
    "num_hidden_layers": 3,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "shared_intermediate_size": 48,
    "embedding_multiplier": 3.0,
    "logits_scaling": 2.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.3,
}


class TestMamba2(ModelKit):
    name = "Mamba2ForCausalLM"
    configs: ClassVar = {
        "tiny": {
            "num_heads": 8, "head_dim": 16, "expand": 2, "state_size": 12, "n_groups": 2, "chunk_size": 8,
            "use_bias": True, "time_step_limit": [0.1, 1.2], "pad_token_id": 0,
        }
    }  # fmt: skip


class TestBamba(ModelKit):
    name = "BambaForCausalLM"
    configs: ClassVar = {
        "tiny": {**STATES, "num_hidden_layers": 3, "attn_layer_indices": [1], "mamba_expand": 2}
    }


class TestGraniteHybrid(ModelKit):
    name = "GraniteMoeHybridForCausalLM"
    configs: ClassVar = {
        "experts": {**GRANITE, "num_local_experts": 4},
        "dense with rope": {
            **GRANITE,
            "num_local_experts": 0,
            "position_embedding_type": "rope",
            "attention_bias": True,
        },
    }


class TestFalconH1(ModelKit):
    name = "FalconH1ForCausalLM"
    configs: ClassVar = {
        "factors": {
            **STATES, "mamba_d_ssm": 128, "mamba_rms_norm": True, "mamba_norm_before_gate": False,
            "ssm_multipliers": [0.7, 1.1, 0.8, 1.3, 0.9], "mlp_multipliers": [0.8, 1.2], "key_multiplier": 0.6,
            "attention_in_multiplier": 1.1, "attention_out_multiplier": 0.9, "ssm_in_multiplier": 1.2,
            "ssm_out_multiplier": 0.8, "embedding_multiplier": 1.5, "lm_head_multiplier": 0.7,
        },
        "without a norm": {**STATES, "mamba_d_ssm": 128, "projectors_bias": True},
    }  # fmt: skip
