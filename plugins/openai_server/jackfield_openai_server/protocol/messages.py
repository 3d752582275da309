"""`/v1/messages`, in the form of Anthropic's API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec


class MessageTool(msgspec.Struct, kw_only=True):
    """A tool that the model may use."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input_schema: dict[str, Any] = {}
    description: str | None = None
    type: str | None = None
    cache_control: dict[str, Any] | None = None


class MessageToolChoice(msgspec.Struct, kw_only=True):
    """The tool that the model must or may use."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class InputMessage(msgspec.Struct, kw_only=True):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class CountRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A conversation whose tokens are counted."""

    messages: Annotated[list[InputMessage], msgspec.Meta(min_length=1)]
    model: str | None = None
    system: str | list[dict[str, Any]] | None = None
    tools: list[MessageTool] | None = None
    tool_choice: MessageToolChoice | None = None
    thinking: dict[str, Any] | None = None


class MessagesRequest(CountRequest, kw_only=True, forbid_unknown_fields=True):
    """A conversation to answer."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    stop_sequences: Annotated[list[str], msgspec.Meta(max_length=64)] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    metadata: dict[str, Any] | None = None  # accepted, but not used
    service_tier: str | None = None
    container: str | None = None


class TokenCount(msgspec.Struct):
    """The number of tokens of a conversation."""

    input_tokens: int


class MessageUsage(msgspec.Struct):
    """The number of tokens of a message."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class Message(msgspec.Struct):
    """An answer."""

    id: str
    model: str
    content: list[dict[str, Any]]
    usage: MessageUsage
    stop_reason: str | None = None
    stop_sequence: str | None = None
    type: str = "message"
    role: str = "assistant"
