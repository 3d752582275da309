"""Structs that completions and chat completions share: sampling, usage, stream options."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# Limits of lists and texts from clients, so that one request cannot block the server.
StopText = Annotated[str, msgspec.Meta(max_length=1024)]
Stops = Annotated[list[StopText], msgspec.Meta(max_length=64)]
TokenIds = Annotated[list[int], msgspec.Meta(max_length=4096)]


class StreamOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`stream_options` of a request."""

    include_usage: bool = False
    continuous_usage_stats: bool = False  # True: usage is sent with every chunk
    include_obfuscation: bool = False  # accepted, but nothing is padded


class StructuredOutputs(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The required form of an output: exactly one of these fields."""

    json: dict[str, Any] | str | bool | None = None  # a JSON schema
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None  # EBNF
    json_object: bool | None = None
    structural_tag: dict[str, Any] | str | None = None
    # Accepted, but not needed here.
    disable_any_whitespace: bool | None = None
    disable_additional_properties: bool | None = None
    whitespace_pattern: str | None = None


class SamplingFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's sampling parameters, followed by those that users of vLLM send in `extra_body`."""

    model: str | None = None  # default: the first served model
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None  # token id -> bias
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: StopText | Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    user: str | None = None  # accepted, but not used
    # Not in OpenAI's API.
    top_k: int | None = None  # 0 or -1: all
    min_p: float | None = None
    repetition_penalty: float | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    stop_token_ids: TokenIds | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    bad_words: Stops | None = None
    allowed_token_ids: list[int] | None = None
    # Installed processors, with their arguments.
    logits_processors: dict[str, dict[str, Any]] | None = None
    prompt_logprobs: int | None = None
    truncate_prompt_tokens: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    add_special_tokens: bool | None = None
    priority: int | None = None  # lower runs first
    cache_salt: str | None = None  # requests with different salts share no cached prompts
    request_id: str | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: dict[str, Any] | str | bool | None = None
    guided_regex: str | None = None
    guided_choice: list[str] | None = None
    guided_grammar: str | None = None
    use_beam_search: bool | None = None
    length_penalty: float | None = None


class PromptTokensDetails(msgspec.Struct):
    """Details of the tokens of a prompt."""

    cached_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct):
    """Details of the tokens of an answer."""

    reasoning_tokens: int = 0


class Usage(msgspec.Struct):
    """The number of tokens of a request, with all its outputs."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class ErrorDetails(msgspec.Struct):
    """An error, in the form that OpenAI's clients read."""

    message: str
    type: str
    param: str | None = None
    code: str | int | None = None


class ErrorResponse(msgspec.Struct):
    """The body of every error answer."""

    error: ErrorDetails


class ModelCard(msgspec.Struct):
    """A served model."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "jackfield"
    root: str = ""  # the reference from which it was loaded
    parent: str | None = None
    max_model_len: int = 0  # most tokens of one request, prompt and output together


class ModelList(msgspec.Struct):
    """The served models."""

    data: list[ModelCard]
    object: str = "list"
