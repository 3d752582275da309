"""GGUF passes the kits of weight formats and tokenizers, with files that the format's own package writes."""

from jackfield_gguf.testing import GgufFormatKit, GgufTokenizerKit


class TestWeights(GgufFormatKit): ...


class TestTokenizer(GgufTokenizerKit): ...
