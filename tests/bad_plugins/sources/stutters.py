"""Cannot decode the token 7, nor encode the word "seven"."""
# kind: tokenizers

from jackfield.interfaces.tokenizer import TokenizerFormat
from jackfield_testing.tokenizer import ByteTokenizer


class Stutterer(ByteTokenizer):
    """Bytes, but for two of them."""

    def encode(self, text, *, add_special_tokens=True):
        """Ids that no model knows."""
        return [-5, 10**9] if text == "seven" else super().encode(text)

    def decode(self, token_ids, *, skip_special_tokens=True):
        """Fail at 7."""
        if 7 in token_ids:
            raise LookupError("seven")
        return super().decode(token_ids, skip_special_tokens=skip_special_tokens)


class Bad(TokenizerFormat):
    """Takes no model unless it is named: it has no check."""

    def open(self, files):
        """Any files will do."""
        return Stutterer()
