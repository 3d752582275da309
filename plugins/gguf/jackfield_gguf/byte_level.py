"""Tokenizers like GPT-2's: a text is a sequence of bytes, written as visible characters and merged in pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from jackfield.errors import ModelError
from jackfield_gguf.recognition import likely_splitting
from jackfield_gguf.splitting import SPLITTINGS, Splitting
from jackfield_gguf.vocabulary import CONTROL, USER_DEFINED, Vocabulary

logger = logging.getLogger(__name__)
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
    """How this vocabulary's text is cut. Raises ModelError for an unknown name."""
    found = SPLITTINGS.get(vocabulary.pre or "default")
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


def recognised(vocabulary: Vocabulary) -> str:
    """The name of the likely way to cut text, for a vocabulary that states none. A warning reports it."""
    name = likely_splitting(list(_words(vocabulary)))
    logger.warning(
        "%s does not say how text is cut (it lacks tokenizer.ggml.pre, as early files do); its tokens look like those of "
        "%r. If answers are poor, take a newer file, or name a folder with its tokenizer.json as model.tokenizer",
        vocabulary.path,
        name,
    )
    return name


def _words(vocabulary: Vocabulary) -> Iterator[str]:
    """The texts of the tokens that merges make, if they are whole characters."""
    byte_of = {character: byte for byte, character in byte_characters().items()}
    for merge in vocabulary.merges or ():
        token = "".join(_pair(merge))
        try:
            yield bytes(byte_of[character] for character in token).decode()
        except (KeyError, UnicodeDecodeError):
            continue


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Token ids by the written form of their bytes. Control and user-defined tokens stay as a text contains them."""
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
