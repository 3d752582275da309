"""The tokens of a model in the form of XGrammar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from xgrammar import TokenizerInfo, VocabType

from jackfield.checkpoint.fast_tokenizer import FastTokenizer
from jackfield.interfaces.structured_output import Vocabulary
from jackfield.interfaces.tokenizer import Tokenizer

_UNKNOWN = "\ufffd"  # bytes that are no whole character decode to this
# The form of tokens, by the decoder of a tokenizer file.
_TYPES = {"ByteLevel": VocabType.BYTE_LEVEL, "ByteFallback": VocabType.BYTE_FALLBACK}


def read_vocabulary(vocabulary: Vocabulary) -> TokenizerInfo:
    """The facts with which XGrammar masks `vocabulary.size` ids."""
    tokenizer, size = vocabulary.tokenizer, vocabulary.size
    type_, tokens = VocabType.RAW, _texts(tokenizer, size)
    if isinstance(tokenizer, FastTokenizer):
        decoder = json.loads(tokenizer.backend.to_str()).get("decoder")
        found = [_TYPES[name] for name in _parts(decoder) if name in _TYPES]
        if found:
            type_, tokens = found[0], _written(tokenizer, size)
    ends = list(vocabulary.end_token_ids)
    return TokenizerInfo(tokens, type_, vocab_size=size, stop_token_ids=ends)


def _texts(tokenizer: Tokenizer, size: int) -> list[str]:
    """The text of each token. No grammar accepts an empty text; it stands for parts of characters, whose bytes are
    unknown.
    """
    count = min(size, tokenizer.vocab_size)
    texts = [tokenizer.decode([token_id]) for token_id in range(count)]
    return ["" if _UNKNOWN in text else text for text in texts] + [""] * (size - count)


def _written(tokenizer: FastTokenizer, size: int) -> list[str]:
    """Each token as the file writes it, without special ones."""
    backend = tokenizer.backend
    special = {i for i, token in backend.get_added_tokens_decoder().items() if token.special}
    tokens = [""] * size
    for text, token_id in backend.get_vocab(with_added_tokens=True).items():
        if token_id < size and token_id not in special:
            tokens[token_id] = text
    return tokens


def _parts(decoder: Any) -> Iterator[str]:
    """The types of a decoder and of its parts."""
    if decoder:
        yield decoder["type"]
        for part in decoder.get("decoders", ()):
            yield from _parts(part)
