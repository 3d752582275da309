"""`/tokenize` and `/detokenize`, and facts about the server."""

from __future__ import annotations

from typing import Any

import msgspec


class TokenizeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, or a conversation."""

    model: str | None = None
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_special_tokens: bool | None = None  # default: true for texts, false for conversations
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    return_token_strs: bool | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


class TokenizeResponse(msgspec.Struct):
    """Token ids."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Token ids."""

    model: str | None = None
    tokens: list[int]


class DetokenizeResponse(msgspec.Struct):
    """A text."""

    prompt: str


class Health(msgspec.Struct, omit_defaults=True):
    """The state of the server."""

    status: str
    reason: str = ""


class Version(msgspec.Struct):
    """The version of Jackfield."""

    version: str


class TokenizerInfo(msgspec.Struct):
    """Facts about a model's tokenizer."""

    eos_token: str | None  # text of the token that ends an answer
    chat_template: str | None
