"""GLM-4 passes the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestGlm(ModelKit):
    name = "GlmForCausalLM"
    configs: ClassVar = {"plain": {"pad_token_id": 0}}


class TestGlm4(ModelKit):
    name = "Glm4ForCausalLM"
    configs: ClassVar = {"plain": {"pad_token_id": 0}}


class TestGlm4Moe(ModelKit):
    name = "Glm4MoeForCausalLM"
    configs: ClassVar = {
        "groups": {
            "head_dim": 16,
            "use_qk_norm": True,
            "attention_bias": True,
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 24,
            "n_group": 4,
            "topk_group": 2,
            "routed_scaling_factor": 1.5,
        }
    }
