"""The tokenizer's part of the metadata, as one object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import CheckpointError, ModelError
from jackfield_gguf.reader import GgufFile

CONTROL, USER_DEFINED = 3, 4  # types of tokens that are matched in a text as they are written
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_ENDS = ("eos", "eot", "eom")  # end of text, of turn, of message
# Usual names of tokens that end a turn or a text, for files that do not name them (as in llama.cpp).
_TURN_ENDS = (
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|eom_id|>",
    "<|return|>",
    "<EOT>",
)
_TEXT_ENDS = (
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
_TOKENS = "tokenizer.ggml.tokens"
# Llama.cpp writes it as tokenizer.ggml.model of a model without a tokenizer.
NO_TOKENIZER = "no_vocab"
_TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The facts in a file about its tokenizer."""

    path: Path
    architecture: str
    model: str  # "gpt2": pairs of bytes; "llama": SentencePiece
    # How text is split before merging, by a name of llama.cpp. None: the file does not say.
    pre: str | None
    tokens: list[str]  # by id
    types: list[int]  # for each token; empty if the file has none
    scores: list[float]
    merges: list[str] | None  # "left right", the best first
    roles: dict[str, str]  # "bos_token" -> its text
    end_token_ids: tuple[int, ...]
    add_begin: bool | None  # None: the file does not say
    add_end: bool
    add_space_prefix: bool
    templates: dict[str, str]

    def of_type(self, kind: int) -> Iterable[str]:
        """The tokens of one type, in the order of ids."""
        return (t for t, found in zip(self.tokens, self.types, strict=False) if found == kind)


def read_vocabulary(file: GgufFile) -> Vocabulary:
    """The vocabulary of a file. Raises ModelError if it has none."""
    if file.get("tokenizer.ggml.model", NO_TOKENIZER) == NO_TOKENIZER or _TOKENS not in file:
        raise ModelError(
            f"{file.path} has no tokenizer: looked for tokenizer.ggml.model and "
            "tokenizer.ggml.tokens in its metadata. Name another with model.tokenizer"
        )
    tokens = file[_TOKENS]
    ids = {word: _token_id(file, word, len(tokens)) for word in (*_ROLES.values(), *_ENDS)}
    ends = [ids[word] for word in _ENDS]
    usual = (_TURN_ENDS if ids["eot"] is None else ()) + (_TEXT_ENDS if ids["eos"] is None else ())
    ends += [token_id for token_id, token in enumerate(tokens) if token in usual]
    return Vocabulary(
        path=file.path,
        architecture=file.get("general.architecture", ""),
        model=file["tokenizer.ggml.model"],
        pre=file.get("tokenizer.ggml.pre"),
        tokens=tokens,
        types=_types(file, ends),
        scores=file.get("tokenizer.ggml.scores", []),
        merges=file.get("tokenizer.ggml.merges"),
        roles={
            role: tokens[found] for role, word in _ROLES.items() if (found := ids[word]) is not None
        },
        end_token_ids=tuple(dict.fromkeys(end for end in ends if end is not None)),
        add_begin=file.get("tokenizer.ggml.add_bos_token"),
        add_end=file.get("tokenizer.ggml.add_eos_token", False),
        add_space_prefix=file.get("tokenizer.ggml.add_space_prefix", True),
        templates=_templates(file),
    )


def _types(file: GgufFile, ends: list[int | None]) -> list[int]:
    """The types of all tokens. A token that ends a turn counts as a control token, even if the file does not say so."""
    types: list[int] = list(file.get("tokenizer.ggml.token_type", ()))
    for end in ends:
        if end is not None and end < len(types):
            types[end] = CONTROL
    return types


def _token_id(file: GgufFile, word: str, num_tokens: int) -> int | None:
    key = f"tokenizer.ggml.{word}_token_id"
    value: Any = file.get(key)
    if value is not None and not 0 <= value < num_tokens:
        raise CheckpointError(
            f"{file.path}: {key} is {value}; the vocabulary has the ids 0 to {num_tokens - 1}. "
            "Convert the model again"
        )
    return None if value is None else int(value)


def _templates(file: GgufFile) -> dict[str, str]:
    named = {
        key.removeprefix(f"{_TEMPLATE}."): file[key]
        for key in file
        if key == _TEMPLATE
        or key.startswith(f"{_TEMPLATE}.")  # not .chat_templates, a list of their names
    }
    if _TEMPLATE in named:
        named["default"] = named.pop(_TEMPLATE)
    return named
