"""`/v1/completions`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from jackfield_openai_server.protocol.common import SamplingFields, Usage

Prompt = str | list[int] | list[str] | list[list[int]]


class CompletionRequest(SamplingFields, kw_only=True, forbid_unknown_fields=True):
    """A request of `/v1/completions`."""

    # A text, token ids, or a list of either. `prompts_of` tells them apart.
    prompt: str | list[int | str | list[int]]
    best_of: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_tokens: int | None = None
    suffix: str | None = None
    response_format: dict[str, Any] | None = None


class CompletionLogprobs(msgspec.Struct):
    """Log probabilities of each token of a choice."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None] | None


class CompletionChoice(msgspec.Struct):
    """One of the answers."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    # Set if return_token_ids asks for them.
    token_ids: list[int] | msgspec.UnsetType = msgspec.UNSET
    prompt_token_ids: list[int] | msgspec.UnsetType = msgspec.UNSET
    prompt_logprobs: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Completion(msgspec.Struct):
    """An answer of `/v1/completions`, or a chunk of a streamed one."""

    id: str
    created: int  # seconds since 1970
    model: str
    choices: list[CompletionChoice]
    object: str = "text_completion"
    system_fingerprint: str | None = None
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
