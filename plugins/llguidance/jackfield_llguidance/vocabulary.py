"""The tokens of a model in the form of llguidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llguidance import LLTokenizer

from jackfield.checkpoint.fast_tokenizer import FastTokenizer
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.interfaces.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"  # bytes that are no whole character decode to this


def make_tokenizer(vocabulary: Vocabulary) -> LLTokenizer:
    """A tokenizer that masks `vocabulary.size` ids."""
    ends = list(vocabulary.end_token_ids)
    tokenizer = vocabulary.tokenizer
    if isinstance(tokenizer, FastTokenizer):  # llguidance reads the bytes of tokens from it
        source = tokenizer.backend.to_str()
        return LLTokenizer(source, n_vocab=vocabulary.size, eos_token=ends or None)
    wrapped = cast(Any, _Tokens(tokenizer, vocabulary))
    return LLTokenizer(wrapped, eos_token=ends or None)


class _Tokens:
    """A tokenizer that only gives the texts of tokens. Tokens that are no whole characters are left out."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        self._tokenizer = tokenizer
        self.tokens: list[bytes] = []
        self.special_token_ids: list[int] = []
        for token_id in range(vocabulary.size):
            text = tokenizer.decode([token_id]) if token_id < tokenizer.vocab_size else ""
            if not text or _UNKNOWN in text:
                self.special_token_ids.append(token_id)
                text = f"<[{token_id}]>"
            self.tokens.append(text.encode())
        ends: Sequence[int] = vocabulary.end_token_ids
        self.eos_token_id = ends[0] if ends else self.special_token_ids[-1]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)
