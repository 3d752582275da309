"""`/v1/messages`: conversations, for Anthropic's clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.blocks import CALL, THOUGHT, Block, BlockAnswer, Change
from jackfield_openai_server.chat_prompt import chat_prompt
from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.errors import ApiError, anthropic_error
from jackfield_openai_server.params import chat_sampling
from jackfield_openai_server.protocol.chat import (
    ChatRequest,
    FunctionDefinition,
    NamedFunction,
    NamedTool,
    Tool,
)
from jackfield_openai_server.protocol.messages import (
    CountRequest,
    InputMessage,
    Message,
    MessagesRequest,
    MessageToolChoice,
    MessageUsage,
    TokenCount,
)
from jackfield_openai_server.sse import EventStream, named_event, unless_gone
from jackfield_openai_server.state import new_id, state_of

_STOP_REASONS = {"length": "max_tokens", "stop": "end_turn"}


async def create_message(http: Request) -> Response:
    """Answer a conversation, in Anthropic's form."""
    request = await read_body(http, MessagesRequest)
    state = state_of(http)
    model = await state.take(request.model)
    asked = _chat_request(request)
    asked.stream, asked.max_tokens = request.stream, request.max_tokens
    asked.temperature, asked.top_p, asked.top_k = request.temperature, request.top_p, request.top_k
    asked.stop = request.stop_sequences
    prompt = await chat_prompt(model, asked, state.options)
    asked.model = request.model
    sampling = chat_sampling(asked) | prompt.sampling
    generation = state.generate(http, model, prompt.token_ids, sampling, asked)
    answer = _Answer(request.model or model.names[0], BlockAnswer(prompt, generation))
    if request.stream:
        timeout_s = state.options.write_timeout_s
        return EventStream(answer.events(), failed=anthropic_error, write_timeout_s=timeout_s)
    return json_response(await unless_gone(http, answer.whole()))


async def count_message_tokens(http: Request) -> Response:
    """The number of tokens of a conversation, in Anthropic's form."""
    request = await read_body(http, CountRequest)
    state = state_of(http)
    model = await state.take(request.model)
    prompt = await chat_prompt(model, _chat_request(request), state.options)
    return json_response(TokenCount(len(prompt.token_ids)))


class _Answer:
    """The answer to one request."""

    def __init__(self, model: str, answer: BlockAnswer) -> None:
        self._id = new_id("msg")
        self._model = model
        self._answer = answer

    async def whole(self) -> Message:
        """All blocks with the usage."""
        await self._answer.whole()
        return self._message([_whole_block(block) for block in self._answer.blocks])

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Anthropic's events, in order."""
        answer = self._answer
        head = _event("message_start", message=self._message([]))
        async with aclosing(answer.changes()) as batches:
            async for changes in batches:
                piece = head + b"".join(map(_of_change, changes))
                head = b""
                if piece:
                    yield piece
        message = self._message([])
        delta = {"stop_reason": message.stop_reason, "stop_sequence": message.stop_sequence}
        yield _event("message_delta", delta=delta, usage=message.usage) + _event("message_stop")

    def _message(self, content: list[dict[str, Any]]) -> Message:
        answer = self._answer
        usage = answer.generation.usage()
        details = usage.prompt_tokens_details
        cached = details.cached_tokens if details else 0
        counts = MessageUsage(usage.prompt_tokens - cached, usage.completion_tokens, cached)
        message = Message(self._id, self._model, content, counts)
        if answer.finish_reason is not None:
            message.stop_reason = _STOP_REASONS.get(answer.finish_reason, answer.finish_reason)
            if answer.has_calls and answer.finish_reason == "stop":
                message.stop_reason = "tool_use"
            elif isinstance(answer.stop_reason, str):
                message.stop_reason, message.stop_sequence = "stop_sequence", answer.stop_reason
        return message


def _event(name: str, **values: Any) -> bytes:
    return named_event(name, {"type": name, **values})


def _whole_block(block: Block) -> dict[str, Any]:
    if block.kind == THOUGHT:
        return {"type": "thinking", "thinking": block.text, "signature": ""}
    if block.kind == CALL:
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.arguments}
    return {"type": "text", "text": block.text}


def _of_change(change: Change) -> bytes:
    block = change.block
    if change.what == "begin":
        empty = _whole_block(Block(block.index, block.kind, "", block.name, block.id))
        return _event("content_block_start", index=block.index, content_block=empty)
    if change.what == "end":
        return _event("content_block_stop", index=block.index)
    if block.kind == THOUGHT:
        delta = {"type": "thinking_delta", "thinking": change.text}
    elif block.kind == CALL:
        delta = {"type": "input_json_delta", "partial_json": change.text}
    else:
        delta = {"type": "text_delta", "text": change.text}
    return _event("content_block_delta", index=block.index, delta=delta)


def _chat_request(request: CountRequest) -> ChatRequest:
    """The conversation in OpenAI's form, for which chat templates are written."""
    messages: list[dict[str, Any]] = []
    if request.system is not None:
        messages.append({"role": "system", "content": _joined(request.system)})
    for message in request.messages:
        messages += _messages(message)
    if not messages:
        raise ApiError(400, "messages holds no content", param="messages", code="invalid_value")
    tools = [
        Tool(
            function=FunctionDefinition(
                name=tool.name, description=tool.description, parameters=tool.input_schema
            )
        )
        for tool in request.tools or ()
    ]
    found = ChatRequest(messages=messages, tools=tools or None)
    found.tool_choice = _choice(request.tool_choice) if tools else None
    if request.thinking is not None:
        is_wanted = request.thinking.get("type") != "disabled"
        found.chat_template_kwargs = {"enable_thinking": is_wanted}
    if messages[-1]["role"] == "assistant":  # the answer continues this message
        found.continue_final_message, found.add_generation_prompt = True, False
    return found


def _choice(choice: MessageToolChoice | None) -> Any:
    if choice is None or choice.type == "auto":
        return "auto"
    if choice.type == "tool":
        return NamedTool(function=NamedFunction(choice.name or ""))
    return "required" if choice.type == "any" else "none"


def _messages(message: InputMessage) -> list[dict[str, Any]]:
    """One message in OpenAI's form, in which results of tools are messages of their own."""
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content}]
    found: list[dict[str, Any]] = []
    said: dict[str, Any] = {"role": message.role, "content": ""}
    for part in message.content:
        kind = part.get("type")
        if kind == "tool_result":
            content = _joined(part.get("content") or "")
            found.append(
                {"role": "tool", "tool_call_id": str(part.get("tool_use_id")), "content": content}
            )
        elif kind == "tool_use":
            function = {"name": part.get("name"), "arguments": part.get("input") or {}}
            call = {"id": part.get("id"), "type": "function", "function": function}
            said.setdefault("tool_calls", []).append(call)
        elif kind == "thinking":
            said["reasoning_content"] = part.get("thinking", "")
        elif kind != "redacted_thinking":
            said["content"] += _text(part)
    if said["content"] or "tool_calls" in said:
        found.append(said)
    return found


def _joined(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "\n".join(map(_text, content))


def _text(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    if part.get("type") != "text" or not isinstance(text, str):
        raise ApiError(
            400,
            f"a part of type {part.get('type')!r} is not served; this model takes text",
            param="messages",
            code="unsupported_content",
        )
    return text
