"""Gemma 1, 2 and 3 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model

WINDOWS = {"sliding_window": 6, "query_pre_attn_scalar": 20}


class TestGemma(ModelKit):
    name = "GemmaForCausalLM"
    configs: ClassVar = {
        "plain": {},
        "activation": {"hidden_act": "relu"},
        "old gelu": {"hidden_act": "gelu"},  # in the first releases: its approximation by tanh
    }


class TestGemma2(ModelKit):
    name = "Gemma2ForCausalLM"
    configs: ClassVar = {
        "caps": {**WINDOWS, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 4.0}
    }


class TestGemma3(ModelKit):
    name = "Gemma3ForCausalLM"
    configs: ClassVar = {
        "old keys": {
            **WINDOWS,
            "sliding_window_pattern": 2,
            "rope_local_base_freq": 100.0,
            "rope_theta": 5000.0,
            "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        },
        "two ropes": {
            **WINDOWS,
            "num_hidden_layers": 3,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "final_logit_softcapping": 4.0,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
            },
        },
    }
