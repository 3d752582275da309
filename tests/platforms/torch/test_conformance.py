"""The runtime's own scheme, and the model of the reference platform, pass the kits that strangers' plugins pass."""

from typing import ClassVar

from jackfield_testing_torch.conformance.model import ModelKit
from jackfield_testing_torch.conformance.quantization import QuantizationKit


class TestUnquantized(QuantizationKit):
    name = "unquantized"


class TestReferenceModel(ModelKit):
    name = "ReferenceForCausalLM"  # has no weights and no answers of its own
    configs: ClassVar = {"windows": {"windows": [None, 5]}}
