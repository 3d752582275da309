"""What takes any decoder passes the kit of models, with a family of which no spec is there."""

from typing import ClassVar

import pytest

from jackfield_testing_torch.conformance.model import ModelKit

pytestmark = pytest.mark.cpu_model


class TestNanoChat(ModelKit):
    """Norms without weights, a capped head, squared activations."""

    name = "transformers"
    configs: ClassVar = {"tiny": {}}

    @classmethod
    def architecture(cls) -> str:
        return "NanoChatForCausalLM"
