"""The core's weight formats, tokenizers and model sources pass the kits that strangers' plugins pass."""

from jackfield_testing.conformance.model_source import ModelSourceKit
from jackfield_testing.conformance.tokenizer import TokenizerKit
from jackfield_testing.conformance.weight_format import WeightFormatKit
from jackfield_testing.hub_kit import HubKit


class TestSafetensors(WeightFormatKit):
    name = "safetensors"


class TestDummy(WeightFormatKit):
    name = "dummy"


class TestHfTokenizer(TokenizerKit):
    name = "hf"


class TestLocal(ModelSourceKit):
    name = "local"


class TestHub(HubKit): ...
