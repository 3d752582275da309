"""Requests and answers of Ollama's API: one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from jackfield import __version__
from jackfield.errors import RequestError
from jackfield.interfaces.endpoint import Prompt, Serving
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from jackfield_acme_ollama.options import sampling_of

Shape = Callable[[str], dict[str, Any]]
"""Where a piece of text stands in a line."""


def make_app(serving: Serving) -> Router:
    """Make the application with all paths."""
    return Router(
        [
            Route("/generate", partial(generate, serving), methods=["POST"]),
            Route("/chat", partial(chat, serving), methods=["POST"]),
            Route("/tags", partial(tags, serving)),
            Route("/version", version),
        ]
    )


async def generate(serving: Serving, http: Request) -> Response:
    """Answer a prompt. It is continued if the request is `raw`; otherwise it is the message of a user."""
    asked = await _body(http)
    text = _given(asked, "prompt", str)
    system = [{"role": "system", "content": asked["system"]}] if asked.get("system") else []
    messages = [*system, {"role": "user", "content": text}]
    prompt: Prompt = text if asked.get("raw") else messages
    return await _answer(serving, http, asked, prompt, lambda piece: {"response": piece})


async def chat(serving: Serving, http: Request) -> Response:
    """Answer a conversation."""
    asked = await _body(http)
    messages = _given(asked, "messages", list)
    if not messages:
        raise RequestError("messages is empty; give at least one")
    return await _answer(serving, http, asked, messages, _message)


async def tags(serving: Serving, http: Request) -> Response:
    """List the models."""
    return JSONResponse({"models": [{"name": name, "model": name} for name in serving.models]})


async def version(http: Request) -> Response:
    """Give the version of the server."""
    return JSONResponse({"version": __version__})


def _message(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}


async def _body(http: Request) -> dict[str, Any]:
    try:
        body = json.loads(await http.body())
    except ValueError as error:  # invalid JSON or UTF-8
        raise RequestError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("the body must be an object")
    return body


def _given(asked: Mapping[str, Any], name: str, kind: type) -> Any:
    if not isinstance(asked.get(name), kind):
        raise RequestError(
            f"{name} must be there, and a {kind.__name__}; got {asked.get(name)!r:.100}"
        )
    return asked[name]


async def _answer(
    serving: Serving, http: Request, asked: Mapping[str, Any], prompt: Prompt, shape: Shape
) -> Response:
    """Send lines while they come, or one object. The first piece comes before the status, because it raises errors."""
    lines = _lines(serving, http, asked, prompt, shape)
    first = await anext(lines)
    if asked.get("stream", True):
        texts = _joined(first, lines)
        return StreamingResponse(texts, media_type="application/x-ndjson")
    text, last = first["text"], first
    async for last in lines:
        text += last["text"]
    return JSONResponse({**last["line"], **shape(text)})


async def _joined(
    first: dict[str, Any], lines: AsyncGenerator[dict[str, Any], None]
) -> AsyncGenerator[str, None]:
    async with aclosing(lines):  # closed, too, if the client leaves
        yield json.dumps(first["line"]) + "\n"
        async for found in lines:
            yield json.dumps(found["line"]) + "\n"


async def _lines(
    serving: Serving, http: Request, asked: Mapping[str, Any], prompt: Prompt, shape: Shape
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the text of each piece, and its line."""
    began_s, num_tokens = time.monotonic(), 0
    name = asked.get("model") or serving.models[0]
    sampling = sampling_of(asked)
    async with aclosing(serving.generate(http.scope, prompt, sampling, model=name)) as pieces:
        async for piece in pieces:
            num_tokens += len(piece.token_ids)
            line = {"model": name, "created_at": _now(), **shape(piece.text), "done": False}
            if piece.finish_reason is not None:
                line |= {
                    "done": True,
                    "done_reason": piece.finish_reason,
                    "prompt_eval_count": piece.num_prompt_tokens,
                    "eval_count": num_tokens,
                    "total_duration": int(1e9 * (time.monotonic() - began_s)),
                }
            yield {"text": piece.text, "line": line}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
