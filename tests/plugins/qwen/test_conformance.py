"""Qwen2 and Qwen3 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.encoder import EncoderKit
from jackfield_testing_torch.conformance.model import ModelKit

LINEAR = "linear_attention"
pytestmark = pytest.mark.cpu_model

WINDOWS = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}
WINDOWS_OFF = {**WINDOWS, "use_sliding_window": False, "max_window_layers": 0}


EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 20,
}


class TestQwen2(ModelKit):
    name = "Qwen2ForCausalLM"
    configs: ClassVar = {"plain": {}, "windows": WINDOWS, "windows off": WINDOWS_OFF}


class TestQwen3(ModelKit):
    name = "Qwen3ForCausalLM"
    configs: ClassVar = {
        "plain": {"tie_word_embeddings": True},
        "biases": {"attention_bias": True},
        "windows": WINDOWS,
        "windows off": WINDOWS_OFF,
    }


class TestQwen2ForSequenceClassification(EncoderKit):
    name = "Qwen2ForSequenceClassification"


class TestQwen3ForSequenceClassification(EncoderKit):
    name = "Qwen3ForSequenceClassification"
    configs: ClassVar = {"one": {"num_labels": 1, "tie_word_embeddings": True}}


class TestQwen2Moe(ModelKit):
    name = "Qwen2MoeForCausalLM"
    configs: ClassVar = {
        "windows": {
            **EXPERTS,
            "num_hidden_layers": 3,
            "mlp_only_layers": [1],
            "use_sliding_window": True,
            "sliding_window": 7,
            "max_window_layers": 1,
        }
    }


class TestQwen3Moe(ModelKit):
    name = "Qwen3MoeForCausalLM"
    configs: ClassVar = {
        "renormalised": {**EXPERTS, "norm_topk_prob": True, "decoder_sparse_step": 2}
    }


class TestQwen3Next(ModelKit):
    name = "Qwen3NextForCausalLM"
    configs: ClassVar = {
        "tiny": {
            "num_hidden_layers": 4, "layer_types": [LINEAR, LINEAR, "full_attention", LINEAR], "head_dim": 32,
            "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 12,
            "linear_value_head_dim": 20, "linear_conv_kernel_dim": 4, "num_experts": 8, "num_experts_per_tok": 3,
            "moe_intermediate_size": 40, "shared_expert_intermediate_size": 48, "mlp_only_layers": [0],
        }
    }  # fmt: skip
