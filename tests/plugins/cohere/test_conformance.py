"""Command R and R7B pass the kit of models."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestCohere(ModelKit):
    name = "CohereForCausalLM"
    configs: ClassVar = {"plain": {"attention_bias": True}, "norms of heads": {"use_qk_norm": True}}


class TestCohere2(ModelKit):
    name = "Cohere2ForCausalLM"
    configs: ClassVar = {"windows": {"sliding_window": 7, "num_hidden_layers": 5}}
