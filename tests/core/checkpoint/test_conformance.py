"""The core's weight formats, tokenizers and model sources pass the kits that strangers' plugins pass."""

from jackfield.testing.conformance.tokenizer import TokenizerKit
from jackfield.testing.conformance.weight_format import WeightFormatKit


class TestSafetensors(WeightFormatKit):
    name = "safetensors"


class TestDummy(WeightFormatKit):
    name = "dummy"


class TestHfTokenizer(TokenizerKit):
    name = "hf"
