"""The tokenizer's part of the metadata, as one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import CheckpointError, ModelError
from jackfield_gguf.reader import GgufFile

CONTROL, USER_DEFINED = 3, 4  # token types that are matched in a text as they are written
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_ENDS = ("eos", "eot", "eom")  # of text, of turn, of message
# What ends a turn or a text by its usual name, for files that do not say it (llama.cpp knows the same ones).
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
NO_TOKENIZER = "no_vocab"  # what llama.cpp writes as tokenizer.ggml.model of a model without one
_TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a file says of its tokenizer."""

    path: Path
    architecture: str
    model: str  # "gpt2": bytes in pairs; "llama": SentencePiece
    # how text is split before merging, by a name of llama.cpp's; None: the file says nothing
    pre: str | None
    tokens: list[str]  # by id
    types: list[int]  # of each token; empty if the file has none
    scores: list[float]
    merges: list[str] | None  # "left right", best first
    roles: dict[str, str]  # "bos_token" -> its text
    end_token_ids: tuple[int, ...]
    add_begin: bool | None  # None: the file says nothing
    add_end: bool
    add_space_prefix: bool
    templates: dict[str, str]

    def of_type(self, kind: int) -> Iterable[str]:
        """The tokens of one type, by id."""
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
    """The types of all tokens; what ends a turn is a control token, also where a converter left it a plain one."""
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
