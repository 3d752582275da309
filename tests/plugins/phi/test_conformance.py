"""Phi-1 to Phi-4 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestPhi(ModelKit):
    name = "PhiForCausalLM"
    configs: ClassVar = {"plain": {}, "norms of heads": {"qk_layernorm": True}}


class TestPhi3(ModelKit):
    name = "Phi3ForCausalLM"
    configs: ClassVar = {
        "windows": {"pad_token_id": 0, "sliding_window": 7},
        "long": {
            "pad_token_id": 0,
            "head_dim": 16,
            "original_max_position_embeddings": 16,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0, 1.3, 1.7, 2.0, 2.3, 2.7, 3.0, 3.3],
                "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
            },
        },
    }


class TestPhimoe(ModelKit):
    name = "PhimoeForCausalLM"
    configs: ClassVar = {
        "biases": {
            "attention_bias": True,
            "lm_head_bias": True,
            "num_local_experts": 4,
            "router_jitter_noise": 0.2,
        }
    }


class TestPhiMoE(ModelKit):
    """The name that the checkpoints on hubs have."""

    name = "PhiMoEForCausalLM"
    transformers_class = "PhimoeForCausalLM"
    configs: ClassVar = {"plain": {"num_local_experts": 4}}
