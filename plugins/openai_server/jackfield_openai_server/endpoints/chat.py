"""`/v1/chat/completions`: conversations."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.chat_prompt import ChatPrompt, chat_prompt
from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.engine.messages import Delta
from jackfield_openai_server.generation import Generation
from jackfield_openai_server.logprobs import TokenNames, chat_logprobs, prompt_logprobs
from jackfield_openai_server.merging import Merged, merged_outputs
from jackfield_openai_server.params import chat_sampling
from jackfield_openai_server.parsers import AnswerParser
from jackfield_openai_server.protocol.chat import (
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatDelta,
    ChatMessage,
    ChatRequest,
    ChunkChoice,
    FunctionCall,
    FunctionCallDelta,
    ToolCall,
    ToolCallDelta,
)
from jackfield_openai_server.served import ServedModel
from jackfield_openai_server.sse import DONE, EventStream, event, unless_gone
from jackfield_openai_server.state import new_id, state_of
from jackfield_openai_server.tool_calls import call_id


async def chat(http: Request) -> Response:
    """Answer a conversation."""
    request = await read_body(http, ChatRequest)
    state = state_of(http)
    model = await state.take(request.model)
    prompt = await chat_prompt(model, request, state.options)
    sampling = chat_sampling(request) | prompt.sampling
    generation = state.generate(http, model, prompt.token_ids, sampling, request)
    answer = ChatAnswer(request, model, prompt, generation)
    if request.stream:
        return EventStream(answer.events(), write_timeout_s=state.options.write_timeout_s)
    return json_response(await unless_gone(http, answer.whole()))


class ChatAnswer:
    """The answer to one request."""

    def __init__(
        self, request: ChatRequest, model: ServedModel, prompt: ChatPrompt, generation: Generation
    ) -> None:
        self._request = request
        self._id = request.request_id or new_id("chatcmpl")
        self._created = int(time.time())
        self._name = request.model or model.names[0]
        self._names = TokenNames(model.text, as_ids=bool(request.return_tokens_as_token_ids))
        self._generation = generation
        self._prompt = prompt
        self._n = request.n or 1

    # As a whole

    async def whole(self) -> ChatCompletion:
        """All choices with the usage."""
        outputs = merged_outputs(await self._generation.collect())
        choices = [self._choice(index, merged) for index, merged in enumerate(outputs)]
        completion = ChatCompletion(self._id, self._created, self._name, choices)
        completion.usage = self._generation.usage()
        begin = self._generation.begin
        if self._request.return_token_ids:
            completion.prompt_token_ids = self._generation.prompt_token_ids
        if self._request.prompt_logprobs is not None and begin and begin.prompt_logprobs:
            completion.prompt_logprobs = prompt_logprobs(begin.prompt_logprobs, self._names)
        return completion

    def _choice(self, index: int, merged: Merged) -> ChatChoice:
        parser = self._prompt.parser()
        parsed = parser.push(merged.text, is_last=True)
        calls: list[ToolCall] = []
        for delta in parsed.calls:
            if delta.name is not None:
                calls.append(ToolCall(call_id(), FunctionCall(delta.name, "")))
            calls[delta.index].function.arguments += delta.arguments
        content = parsed.content
        if self._request.echo:
            content = self._prompt.last_content + content
        message = ChatMessage("assistant", content if content or not calls else None)
        if calls:
            message.tool_calls = calls
        if parsed.reasoning and self._request.include_reasoning:
            message.reasoning_content = message.reasoning = parsed.reasoning
        choice = ChatChoice(index, message)
        choice.finish_reason = _finish_reason(merged.finish_reason, parser)
        choice.stop_reason = merged.stop_reason
        if self._request.logprobs:
            num_top = self._request.top_logprobs or 0
            choice.logprobs = chat_logprobs(merged.logprobs, self._names, num_top)
        if self._request.return_token_ids:
            choice.token_ids = merged.token_ids
        return choice

    # Streamed

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Chunks of all choices, in the order of their arrival."""
        options, request = self._request.stream_options, self._request
        parsers = [self._prompt.parser() for _ in range(self._n)]
        first = [
            ChunkChoice(index, ChatDelta(role="assistant", content="")) for index in range(self._n)
        ]
        begun = self._chunk(first)
        if request.return_token_ids:
            begun.prompt_token_ids = self._generation.prompt_token_ids
        head = event(begun)
        if request.echo and self._prompt.last_content:
            echo = ChatDelta(content=self._prompt.last_content)
            head += event(self._chunk([ChunkChoice(index, echo) for index in range(self._n)]))
        with_usage = options is not None and options.continuous_usage_stats
        async with aclosing(self._generation.deltas()) as batches:
            async for deltas in batches:
                pieces = [head]
                head = b""
                for delta in deltas:
                    choice = self._chunk_choice(delta, parsers[delta.index])
                    if choice is not None:
                        chunk = self._chunk([choice])
                        if with_usage:
                            chunk.usage = self._generation.usage()
                        pieces.append(event(chunk))
                if piece := b"".join(pieces):
                    yield piece
        if options is not None and options.include_usage:
            chunk = self._chunk([])
            chunk.usage = self._generation.usage()
            yield event(chunk)
        yield DONE

    def _chunk(self, choices: list[ChunkChoice]) -> ChatChunk:
        return ChatChunk(self._id, self._created, self._name, choices)

    def _chunk_choice(self, delta: Delta, parser: AnswerParser) -> ChunkChoice | None:
        """The part of a delta that a client sees; None if there is none yet."""
        request, is_last = self._request, delta.finish_reason is not None
        parsed = parser.push(delta.text, is_last=is_last)
        shown = ChatDelta()
        if parsed.content:
            shown.content = parsed.content
        if parsed.reasoning and request.include_reasoning:
            shown.reasoning_content = shown.reasoning = parsed.reasoning
        if parsed.calls:
            shown.tool_calls = [
                ToolCallDelta(call.index, FunctionCallDelta(UNSET, call.arguments))
                if call.name is None
                else ToolCallDelta(
                    call.index, FunctionCallDelta(call.name, call.arguments), call_id(), "function"
                )
                for call in parsed.calls
            ]
        choice = ChunkChoice(delta.index, shown)
        if request.logprobs and delta.logprobs:
            choice.logprobs = chat_logprobs(delta.logprobs, self._names, request.top_logprobs or 0)
        if request.return_token_ids:
            choice.token_ids = delta.token_ids
        if is_last:
            choice.finish_reason = _finish_reason(delta.finish_reason, parser)
            choice.stop_reason = delta.stop_reason
        elif not (parsed.content or shown.tool_calls or shown.reasoning_content):
            if choice.logprobs is None and choice.token_ids is UNSET:
                return None
        return choice


def _finish_reason(reason: str | None, parser: AnswerParser) -> str | None:
    return "tool_calls" if reason == "stop" and parser.has_calls else reason
