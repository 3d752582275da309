"""The card of the tokenizer format, and the tokenizer that is built from metadata."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jackfield.checkpoint.chat_template import ChatTemplate
from jackfield.decision import Reason
from jackfield.errors import CheckpointError, ModelError
from jackfield.interfaces.card import Facts
from jackfield.interfaces.model_source import ModelFiles
from jackfield.interfaces.tokenizer import Tokenizer, TokenizerFormat
from jackfield_gguf.byte_level import byte_level, recognised, splitting_of
from jackfield_gguf.files import model_files, refuse_files
from jackfield_gguf.sentencepiece import sentencepiece
from jackfield_gguf.vocabulary import (
    CONTROL,
    NO_TOKENIZER,
    USER_DEFINED,
    Vocabulary,
    read_vocabulary,
)

_KEYS_BYTES = 1 << 16
_BUILDERS = {"gpt2": byte_level, "llama": sentencepiece}


class GgufTokenizerFormat(TokenizerFormat):
    """Builds the tokenizer that a .gguf file describes."""

    def check(self, need: ModelFiles, facts: Facts) -> tuple[Reason, ...]:
        """Refuse other files, folders with no model or several, and files without a tokenizer."""
        return refuse_files(need) or _refuse_without_tokenizer(model_files(need).first)

    def open(self, files: ModelFiles) -> Tokenizer:
        """Read the vocabulary, special tokens and chat template."""
        from jackfield_gguf.reader import GgufFile

        file = GgufFile(model_files(files).first)
        try:
            vocabulary = read_vocabulary(file)
        finally:
            file.close()
        return build_tokenizer(vocabulary)


def _refuse_without_tokenizer(path: Path) -> tuple[Reason, ...]:
    """The reason against a file without a tokenizer. Keys stand near the start of a file, so the header is not read
    whole.
    """
    with path.open("rb") as file:
        start = file.read(_KEYS_BYTES)
    if len(start) == _KEYS_BYTES and b"tokenizer.ggml.model" in start:
        return ()
    from jackfield_gguf.reader import GgufFile

    try:
        header = GgufFile(path)
    except CheckpointError:
        return ()  # opening the file reports the error
    kind = header.get("tokenizer.ggml.model", NO_TOKENIZER)
    header.close()
    if kind != NO_TOKENIZER:
        return ()
    text = f"{path} has no tokenizer: its metadata hold no tokenizer.ggml.model"
    return (Reason("no_tokenizer", text, "name another with model.tokenizer, or give token ids"),)


def build_tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer of a vocabulary. Raises ModelError for an unknown kind."""
    from jackfield.checkpoint.fast_tokenizer import FastTokenizer, surround

    builder = _BUILDERS.get(vocabulary.model)
    if builder is None:
        raise ModelError(
            f"the tokenizer in {vocabulary.path} is of the kind {vocabulary.model!r}; supported: "
            f"{', '.join(sorted(_BUILDERS))}. Name a folder with its tokenizer.json as "
            "model.tokenizer"
        )
    if vocabulary.pre is None and vocabulary.model == "gpt2":
        vocabulary = replace(vocabulary, pre=recognised(vocabulary))
    backend = builder(vocabulary)
    _add_tokens(backend, vocabulary)
    begin = vocabulary.roles.get("bos_token") if _adds_begin(vocabulary) else None
    end = vocabulary.roles.get("eos_token") if vocabulary.add_end else None
    if begin or end:
        surround(backend, begin, end)
    templates = vocabulary.templates
    return FastTokenizer(
        backend,
        end_token_ids=vocabulary.end_token_ids,
        chat_template=ChatTemplate(templates, vocabulary.roles) if templates else None,
    )


def _adds_begin(vocabulary: Vocabulary) -> bool:
    if vocabulary.add_begin is not None:
        return vocabulary.add_begin
    return vocabulary.model == "llama" or splitting_of(vocabulary).add_begin


def _add_tokens(backend: Any, vocabulary: Vocabulary) -> None:
    """Make control tokens special, and let user-defined tokens be found as a whole in a text."""
    from tokenizers import AddedToken

    control = dict.fromkeys([*vocabulary.of_type(CONTROL), *vocabulary.roles.values()])
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    known = backend.get_vocab(with_added_tokens=False)
    own = [t for t in vocabulary.of_type(USER_DEFINED) if t in known and t not in control]
    backend.add_tokens([AddedToken(t, special=False, normalized=False) for t in own])
