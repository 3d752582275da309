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
