"""`/v1/responses`, in the form of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class ResponseTool(msgspec.Struct, kw_only=True):
    """A tool that the model may use. Only functions are supported."""

    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseToolChoice(msgspec.Struct, kw_only=True):
    """The function that the model must call."""

    type: Literal["function"]
    name: str


class ResponsesRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request of `/v1/responses`."""

    input: str | Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    model: str | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = None
    text: dict[str, Any] | None = None  # {"format": {...}}
    reasoning: dict[str, Any] | None = None  # {"effort": ...}
    store: bool | None = None  # default: true
    previous_response_id: str | None = None
    metadata: dict[str, str] | None = None
    # Accepted, but not used.
    parallel_tool_calls: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    stream_options: dict[str, Any] | None = None
    max_tool_calls: int | None = None


class InputTokensDetails(msgspec.Struct):
    """Details of the tokens of the input."""

    cached_tokens: int = 0


class OutputTokensDetails(msgspec.Struct):
    """Details of the tokens of the output."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct):
    """The number of tokens of a response."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens_details: OutputTokensDetails


class ResponseObject(msgspec.Struct):
    """A response."""

    id: str
    created_at: float
    model: str
    status: str
    output: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool = True
    object: str = "response"
    usage: ResponseUsage | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    incomplete_details: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] = {}


class DeletedResponse(msgspec.Struct):
    """A response that was deleted."""

    id: str
    object: str = "response"
    deleted: bool = True
