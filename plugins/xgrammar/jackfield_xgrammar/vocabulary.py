"""The tokens of a model, as XGrammar wants them."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast
from xgrammar import TokenizerInfo, VocabType

from jackfield.checkpoint.fast_tokenizer import FastTokenizer
from jackfield.interfaces.structured_output import Vocabulary

_UNKNOWN = "\ufffd"  # what bytes decode to that are no whole character


def read_vocabulary(vocabulary: Vocabulary) -> TokenizerInfo:
    """What masks `vocabulary.size` ids."""
    tokenizer, size = vocabulary.tokenizer, vocabulary.size
    ends = list(vocabulary.end_token_ids)
    if isinstance(tokenizer, FastTokenizer):  # XGrammar reads the bytes of its tokens from this
        wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend)
        return TokenizerInfo.from_huggingface(wrapped, vocab_size=size, stop_token_ids=ends)
    tokens: list[bytes] = []
    for token_id in range(size):
        text = tokenizer.decode([token_id]) if token_id < tokenizer.vocab_size else ""
        # An empty token is one that no grammar takes: only texts are known of such a tokenizer, no parts of characters.
        tokens.append(b"" if _UNKNOWN in text else text.encode())
    return TokenizerInfo(tokens, VocabType.RAW, vocab_size=size, stop_token_ids=ends)
