"""Llama and Mistral pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model

LONG = {"original_max_position_embeddings": 16, "rope_theta": 10000.0}  # the kit's text is longer


class TestLlama(ModelKit):
    name = "LlamaForCausalLM"
    configs: ClassVar = {
        "plain": {},
        "biases": {"attention_bias": True, "mlp_bias": True, "head_dim": 20},
        "tied": {"tie_word_embeddings": True, "hidden_act": "gelu_pytorch_tanh"},
        "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        "old keys": {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
        "linear": {"rope_parameters": {**LONG, "rope_type": "linear", "factor": 4.0}},
        "yarn": {"rope_parameters": {**LONG, "rope_type": "yarn", "factor": 4.0}},
        "llama3": {
            "rope_parameters": {
                **LONG,
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            }
        },
    }


class TestMistral(ModelKit):
    name = "MistralForCausalLM"
    configs: ClassVar = {"window": {"sliding_window": 7}, "no window": {"sliding_window": None}}
