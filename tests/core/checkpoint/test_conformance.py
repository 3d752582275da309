"""The core's weight formats, tokenizers and model sources pass the kits that strangers' plugins pass."""

from jackfield.testing.conformance.model_source import ModelSourceKit
from jackfield.testing.conformance.tokenizer import TokenizerKit
from jackfield.testing.conformance.weight_format import WeightFormatKit
from jackfield.testing.hub_kit import HubKit


class TestSafetensors(WeightFormatKit):
    name = "safetensors"


class TestDummy(WeightFormatKit):
    name = "dummy"


class TestHfTokenizer(TokenizerKit):
    name = "hf"


class TestLocal(ModelSourceKit):
    name = "local"


class TestHub(HubKit): ...
