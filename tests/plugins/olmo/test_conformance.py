"""OLMo 1, 2 and 3 pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestOlmo(ModelKit):
    name = "OlmoForCausalLM"
    configs: ClassVar = {"clipped": {"clip_qkv": 1.0, "attention_bias": True}}


class TestOlmo2(ModelKit):
    name = "Olmo2ForCausalLM"


class TestOlmo3(ModelKit):
    name = "Olmo3ForCausalLM"
    configs: ClassVar = {"windows": {"sliding_window": 7, "num_hidden_layers": 5}}


class TestOlmoe(ModelKit):
    name = "OlmoeForCausalLM"
    configs: ClassVar = {"plain": {"num_experts": 4, "num_experts_per_tok": 2}}


class TestFlexOlmo(ModelKit):
    name = "FlexOlmoForCausalLM"
    configs: ClassVar = {"plain": {"num_experts": 4, "num_experts_per_tok": 2, "pad_token_id": 0}}
