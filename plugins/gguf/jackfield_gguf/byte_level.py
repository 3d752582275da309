"""Tokenizers of the kind of GPT-2: text as bytes, each byte written as a visible character, merged in pairs."""

from __future__ import annotations

from typing import Any

from jackfield.errors import ModelError
from jackfield_gguf.splitting import SPLITTINGS, Splitting
from jackfield_gguf.vocabulary import CONTROL, USER_DEFINED, Vocabulary

NORMAL = 1


def byte_level(vocabulary: Vocabulary) -> Any:
    """A tokenizer of the `tokenizers` library, without its special tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    splitting = splitting_of(vocabulary)
    if vocabulary.merges is None:
        raise ModelError(
            f"the tokenizer in {vocabulary.path} is of the kind {vocabulary.model!r} but has no "
            "tokenizer.ggml.merges. Convert the model again, or name another with model.tokenizer"
        )
    merges = [_pair(merge) for merge in vocabulary.merges]
    model = models.BPE(_ids(vocabulary), merges, ignore_merges=splitting.whole_words)
    backend = Tokenizer(model)
    if splitting.is_normalized:
        backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = splitting.pre_tokenizer()
    backend.decoder = decoders.ByteLevel()
    return backend


def splitting_of(vocabulary: Vocabulary) -> Splitting:
    """How this vocabulary's text is cut. Raises ModelError for a name that is not known."""
    found = SPLITTINGS.get(vocabulary.pre)
    if found is None:
        raise ModelError(
            f"the tokenizer in {vocabulary.path} cuts text by {vocabulary.pre!r} "
            f"(tokenizer.ggml.pre); known: {', '.join(sorted(SPLITTINGS))}. Another way would give "
            "other tokens than the model knows: name a folder with its tokenizer.json as "
            "model.tokenizer"
        )
    return found


def byte_characters() -> dict[int, str]:
    """The visible character that stands for each byte (Radford et al. 2019, encoder.py).

    Printable bytes of Latin-1 stand for themselves, the others for the characters from U+0100 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    moved = {byte: chr(256 + number) for number, byte in enumerate(others)}
    return {byte: moved.get(byte, chr(byte)) for byte in range(256)}


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Tokens as their bytes are written. Control and user-defined tokens stay as a text holds them."""
    characters = byte_characters()
    alphabet = set(characters.values())
    types = vocabulary.types or [NORMAL] * len(vocabulary.tokens)
    ids = {}
    for index, (token, kind) in enumerate(zip(vocabulary.tokens, types, strict=True)):
        if kind not in (CONTROL, USER_DEFINED) and not alphabet.issuperset(token):
            token = "".join(characters[byte] for byte in token.encode())
        ids[token] = index
    return ids


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right
