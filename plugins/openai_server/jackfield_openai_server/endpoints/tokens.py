"""`/tokenize` and `/detokenize`."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield_openai_server.chat_prompt import chat_prompt
from jackfield_openai_server.decode import read_body
from jackfield_openai_server.endpoints.models import json_response
from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.protocol.chat import ChatRequest, Tool
from jackfield_openai_server.protocol.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
    TokenizerInfo,
)
from jackfield_openai_server.state import state_of


async def tokenize(http: Request) -> Response:
    """The token ids of a text, or of a conversation."""
    request = await read_body(http, TokenizeRequest)
    state = state_of(http)
    model = await state.take(request.model)
    if (request.prompt is None) == (request.messages is None):
        raise ApiError(400, "give a prompt or messages, one of them", param="prompt")
    if request.prompt is not None:
        tokens = await model.text.encode(
            request.prompt, add_special_tokens=request.add_special_tokens is not False
        )
    else:
        conversation = ChatRequest(
            messages=request.messages or [],
            add_special_tokens=request.add_special_tokens,
            add_generation_prompt=request.add_generation_prompt,
            continue_final_message=request.continue_final_message,
            chat_template=request.chat_template,
            chat_template_kwargs=request.chat_template_kwargs,
            tools=msgspec.convert(request.tools, list[Tool] | None),
        )
        tokens = (await chat_prompt(model, conversation, state.options)).token_ids
    names = [model.text.token(token) for token in tokens] if request.return_token_strs else None
    return json_response(TokenizeResponse(len(tokens), model.facts.max_length, tokens, names))


async def tokenizer_info(http: Request) -> Response:
    """Show the facts that evaluation harnesses need of a tokenizer that they do not have."""
    model = await state_of(http).take(http.query_params.get("model"))
    text = model.text
    return json_response(TokenizerInfo(text.end_token, text.template or None))


async def detokenize(http: Request) -> Response:
    """The text of token ids."""
    request = await read_body(http, DetokenizeRequest)
    model = await state_of(http).take(request.model)
    vocab_size = model.facts.vocab_size
    for token_id in request.tokens:
        if not 0 <= token_id < vocab_size:
            text = f"{token_id} is no token id; the model's are 0 to {vocab_size - 1}"
            raise ApiError(400, text, param="tokens")
    return json_response(DetokenizeResponse(await model.text.decode(request.tokens)))
