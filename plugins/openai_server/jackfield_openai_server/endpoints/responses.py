"""`/v1/responses`: conversations as items. A later request can continue a response."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.blocks import CALL, THOUGHT, Block, BlockAnswer, Change
from jackfield_openai_server.chat_prompt import chat_prompt
from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.errors import ApiError, as_api_error
from jackfield_openai_server.params import chat_sampling
from jackfield_openai_server.protocol.chat import (
    ChatRequest,
    FunctionDefinition,
    NamedFunction,
    NamedTool,
    ResponseFormat,
    Tool,
)
from jackfield_openai_server.protocol.responses import (
    DeletedResponse,
    InputTokensDetails,
    OutputTokensDetails,
    ResponseObject,
    ResponsesRequest,
    ResponseToolChoice,
    ResponseUsage,
)
from jackfield_openai_server.response_store import Kept
from jackfield_openai_server.sse import EventStream, named_event, unless_gone
from jackfield_openai_server.state import ServerState, new_id, state_of


async def create_response(http: Request) -> Response:
    """Answer items with items."""
    request = await read_body(http, ResponsesRequest)
    state = state_of(http)
    model = await state.take(request.model)
    tenant = http.scope["tenant"].name
    messages = _conversation(request, state, tenant)
    asked = _chat_request(request, messages)
    prompt = await chat_prompt(model, asked, state.options)
    asked.model = request.model
    sampling = chat_sampling(asked) | prompt.sampling
    generation = state.generate(http, model, prompt.token_ids, sampling, asked)
    answer = _Answer(
        request, request.model or model.names[0], BlockAnswer(prompt, generation), state
    )
    answer.messages, answer.tenant = messages, tenant
    if request.stream:
        timeout_s = state.options.write_timeout_s
        return EventStream(answer.events(), failed=answer.failed, write_timeout_s=timeout_s)
    return json_response(await unless_gone(http, answer.whole()))


async def show_response(http: Request) -> Response:
    """Show a stored response."""
    store = state_of(http).responses
    return json_response(store.find(http.path_params["id"], http.scope["tenant"].name).response)


async def delete_response(http: Request) -> Response:
    """Forget a response."""
    response_id = http.path_params["id"]
    state_of(http).responses.drop(response_id, http.scope["tenant"].name)
    return json_response(DeletedResponse(response_id))


class _Answer:
    """The answer to one request."""

    messages: list[dict[str, Any]]
    tenant: str

    def __init__(
        self, request: ResponsesRequest, model: str, answer: BlockAnswer, state: ServerState
    ) -> None:
        self._request = request
        self._answer = answer
        self._state = state
        self._number = 0  # number of the last event
        self._ids: dict[int, str] = {}  # ids of items, by block
        choice = request.tool_choice
        self._response = ResponseObject(
            id=new_id("resp"),
            created_at=time.time(),
            model=model,
            status="in_progress",
            output=[],
            tools=msgspec.to_builtins(request.tools or []),
            tool_choice=choice
            if isinstance(choice, str)
            else msgspec.to_builtins(choice or "auto"),
            instructions=request.instructions,
            previous_response_id=request.previous_response_id,
            temperature=request.temperature,
            top_p=request.top_p,
            max_output_tokens=request.max_output_tokens,
            metadata=request.metadata or {},
        )

    async def whole(self) -> ResponseObject:
        """All items with the usage."""
        await self._answer.whole()
        return self._finished()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """OpenAI's events, in order."""
        head = self._event("response.created", response=self._response)
        head += self._event("response.in_progress", response=self._response)
        async with aclosing(self._answer.changes()) as batches:
            async for changes in batches:
                piece = head + b"".join(map(self._of_change, changes))
                head = b""
                if piece:
                    yield piece
        response = self._finished()
        yield self._event(f"response.{response.status}", response=response)

    def failed(self, error: Exception) -> bytes:
        """The event for an answer that fails after it has begun."""
        details = as_api_error(error).details()
        self._response.status = "failed"
        self._response.error = {"code": details.code or "server_error", "message": details.message}
        return self._event("response.failed", response=self._response)

    def _finished(self) -> ResponseObject:
        answer, response = self._answer, self._response
        response.output = [self._item(block, "completed") for block in answer.blocks]
        response.status = "completed"
        if answer.finish_reason == "length":
            response.status = "incomplete"
            response.incomplete_details = {"reason": "max_output_tokens"}
        usage = answer.generation.usage()
        details = usage.prompt_tokens_details
        response.usage = ResponseUsage(
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            InputTokensDetails(details.cached_tokens if details else 0),
            OutputTokensDetails(),
        )
        if self._request.store is not False:
            messages = [*self.messages, *_messages_of(response.output)]
            self._state.responses.keep(Kept(response, messages, self.tenant))
        return response

    def _item(self, block: Block, status: str) -> dict[str, Any]:
        prefix = {THOUGHT: "rs", CALL: "fc"}.get(block.kind, "msg")
        item_id = self._ids.setdefault(block.index, new_id(prefix))
        if block.kind == THOUGHT:
            content = [{"type": "reasoning_text", "text": block.text}] if block.text else []
            return {"type": "reasoning", "id": item_id, "summary": [], "content": content, "status": status}  # fmt: skip
        if block.kind == CALL:
            call = {"call_id": block.id, "name": block.name, "arguments": block.text}
            return {"type": "function_call", "id": item_id, "status": status, **call}
        content = [_part(block.text)] if block.text else []
        return {"type": "message", "id": item_id, "role": "assistant", "status": status, "content": content}  # fmt: skip

    def _of_change(self, change: Change) -> bytes:
        block = change.block
        place: dict[str, Any] = {"output_index": block.index}
        if change.what == "begin":
            empty = Block(block.index, block.kind, "", block.name, block.id)
            found = self._event(
                "response.output_item.added", item=self._item(empty, "in_progress"), **place
            )
            if block.kind not in (THOUGHT, CALL):
                place |= {"item_id": self._ids[block.index], "content_index": 0}
                found += self._event("response.content_part.added", part=_part(""), **place)
            return found
        place["item_id"] = self._ids[block.index]
        if block.kind == CALL:
            name, done = "response.function_call_arguments", {"arguments": block.text}
            done["name"] = block.name
        else:
            place["content_index"] = 0
            name, done = "response.output_text", {"text": block.text, "logprobs": []}  # type: ignore[dict-item]
            if block.kind == THOUGHT:
                name, done = "response.reasoning_text", {"text": block.text}
        if change.what == "add":
            more: dict[str, Any] = {"logprobs": []} if name == "response.output_text" else {}
            return self._event(f"{name}.delta", delta=change.text, **more, **place)
        found = self._event(f"{name}.done", **done, **place)
        if name == "response.output_text":
            found += self._event("response.content_part.done", part=_part(block.text), **place)
        item = self._item(block, "completed")
        return found + self._event("response.output_item.done", item=item, output_index=block.index)

    def _event(self, name: str, /, **values: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return named_event(name, {"type": name, "sequence_number": number, **values})


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _conversation(
    request: ResponsesRequest, state: ServerState, tenant: str
) -> list[dict[str, Any]]:
    """The earlier messages and the new ones. Instructions are not stored."""
    earlier: list[dict[str, Any]] = []
    if request.previous_response_id is not None:
        earlier = state.responses.find(request.previous_response_id, tenant).messages
    if isinstance(request.input, str):
        return [*earlier, {"role": "user", "content": request.input}]
    return [*earlier, *_messages_of(request.input)]


def _messages_of(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as messages of a chat."""
    found: list[dict[str, Any]] = []
    thought: str | None = None
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            message = {"role": item.get("role", "user"), "content": item.get("content") or ""}
            if thought is not None and message["role"] == "assistant":
                message["reasoning_content"], thought = thought, None
            found.append(message)
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            last = found[-1] if found else {}
            if last.get("role") == "assistant":
                last.setdefault("tool_calls", []).append(call)
            else:
                found.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind == "function_call_output":
            content = item.get("output")
            content = content if isinstance(content, (str, list)) else str(content)
            found.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        elif kind == "reasoning":
            thought = "".join(part.get("text", "") for part in item.get("content") or ())
        else:
            raise ApiError(400, f"an item of type {kind!r} is not served", param="input")
    return found


def _chat_request(request: ResponsesRequest, messages: list[dict[str, Any]]) -> ChatRequest:
    """The request as a chat request."""
    if request.instructions:
        messages = [{"role": "system", "content": request.instructions}, *messages]
    found = ChatRequest(messages=messages)
    found.stream, found.max_tokens = request.stream, request.max_output_tokens
    found.temperature, found.top_p = request.temperature, request.top_p
    found.reasoning_effort = (request.reasoning or {}).get("effort")
    for tool in request.tools or ():
        if tool.type != "function":
            raise ApiError(400, f"a tool of type {tool.type!r} is not served", param="tools")
        function = FunctionDefinition(
            name=tool.name, description=tool.description, parameters=tool.parameters
        )
        found.tools = [*(found.tools or ()), Tool(function=function)]
    choice = request.tool_choice
    if isinstance(choice, ResponseToolChoice):
        found.tool_choice = NamedTool(function=NamedFunction(choice.name))
    else:
        found.tool_choice = choice
    found.response_format = _format(request.text)
    return found


def _format(text: Mapping[str, Any] | None) -> ResponseFormat | None:
    """`text.format` as the response_format of a chat, which has another shape."""
    wanted = dict((text or {}).get("format") or {"type": "text"})
    kind = wanted.pop("type", "text")
    shape = {"type": kind, "json_schema": wanted} if kind == "json_schema" else {"type": kind}
    try:
        return msgspec.convert(shape, ResponseFormat)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"text.format: {error}", param="text") from None
