"""The operations of the server, and the OpenAPI document that is made from them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield import __version__
from jackfield_openai_server.endpoints.chat import chat
from jackfield_openai_server.endpoints.completions import complete
from jackfield_openai_server.endpoints.messages import count_message_tokens, create_message
from jackfield_openai_server.endpoints.models import list_models, show_model
from jackfield_openai_server.endpoints.operations import (
    health,
    metrics,
    ready,
    server_info,
    version,
)
from jackfield_openai_server.endpoints.responses import (
    create_response,
    delete_response,
    show_response,
)
from jackfield_openai_server.endpoints.tokens import detokenize, tokenize, tokenizer_info
from jackfield_openai_server.endpoints.vectors import classify, embed, rerank, score
from jackfield_openai_server.protocol.chat import ChatChunk, ChatCompletion, ChatRequest
from jackfield_openai_server.protocol.common import ErrorResponse, ModelCard, ModelList
from jackfield_openai_server.protocol.completions import Completion, CompletionRequest
from jackfield_openai_server.protocol.messages import (
    CountRequest,
    Message,
    MessagesRequest,
    TokenCount,
)
from jackfield_openai_server.protocol.responses import (
    DeletedResponse,
    ResponseObject,
    ResponsesRequest,
)
from jackfield_openai_server.protocol.tokens import (
    DetokenizeRequest,
    DetokenizeResponse,
    Health,
    TokenizeRequest,
    TokenizeResponse,
    TokenizerInfo,
    Version,
)
from jackfield_openai_server.protocol.vectors import (
    ClassifyList,
    ClassifyRequest,
    EmbeddingList,
    EmbeddingRequest,
    RerankRequest,
    RerankResponse,
    ScoreList,
    ScoreRequest,
)

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    endpoint: Endpoint
    takes: type | None = None  # type of the body
    gives: type | None = None  # type of the answer; None: plain text
    streams: type | None = None  # type of each event, if the answer can be streamed
    statuses: tuple[int, ...] = ()  # statuses of errors, beside those of all operations
    is_open: bool = False  # True: needs no key
    alias: str = ""  # name in the document, if an endpoint has several paths

    @property
    def id(self) -> str:
        """Name in the document."""
        name: str = self.alias or getattr(self.endpoint, "__name__", self.path)
        return name

    @property
    def summary(self) -> str:
        """One line: the beginning of the endpoint's docstring."""
        return (self.endpoint.__doc__ or "").strip().partition("\n")[0]


_BUSY = (400, 413, 429, 503, 504)
OPERATIONS = (
    Operation(method="GET", path="/v1/models", endpoint=list_models, gives=ModelList),
    Operation(
        method="GET",
        path="/v1/models/{model:path}",
        endpoint=show_model,
        gives=ModelCard,
        statuses=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/completions",
        endpoint=complete,
        takes=CompletionRequest,
        gives=Completion,
        streams=Completion,
        statuses=(404, *_BUSY),
    ),
    Operation(
        method="POST",
        path="/v1/chat/completions",
        endpoint=chat,
        takes=ChatRequest,
        gives=ChatCompletion,
        streams=ChatChunk,
        statuses=(404, *_BUSY),
    ),
    Operation(
        method="POST",
        path="/v1/responses",
        endpoint=create_response,
        takes=ResponsesRequest,
        gives=ResponseObject,
        streams=ResponseObject,
        statuses=(404, *_BUSY),
    ),
    Operation(
        method="GET",
        path="/v1/responses/{id}",
        endpoint=show_response,
        gives=ResponseObject,
        statuses=(404,),
    ),
    Operation(
        method="DELETE",
        path="/v1/responses/{id}",
        endpoint=delete_response,
        gives=DeletedResponse,
        statuses=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/messages",
        endpoint=create_message,
        takes=MessagesRequest,
        gives=Message,
        streams=Message,
        statuses=(404, *_BUSY),
    ),
    Operation(
        method="POST",
        path="/v1/messages/count_tokens",
        endpoint=count_message_tokens,
        takes=CountRequest,
        gives=TokenCount,
        statuses=(400, 404, 413, 503),
    ),
    Operation(
        method="POST",
        path="/v1/embeddings",
        endpoint=embed,
        takes=EmbeddingRequest,
        gives=EmbeddingList,
        statuses=(404, *_BUSY),
    ),
    *(
        Operation(
            method="POST",
            path=path,
            endpoint=endpoint,
            takes=takes,
            gives=gives,
            statuses=(404, *_BUSY),
            alias=path.strip("/").replace("/", "_"),
        )
        for path, endpoint, takes, gives in (
            ("/score", score, ScoreRequest, ScoreList),
            ("/v1/score", score, ScoreRequest, ScoreList),
            ("/rerank", rerank, RerankRequest, RerankResponse),
            ("/v1/rerank", rerank, RerankRequest, RerankResponse),
            ("/v2/rerank", rerank, RerankRequest, RerankResponse),
            ("/classify", classify, ClassifyRequest, ClassifyList),
        )
    ),
    Operation(
        method="POST",
        path="/tokenize",
        endpoint=tokenize,
        takes=TokenizeRequest,
        gives=TokenizeResponse,
        statuses=(400, 404, 413, 503),
    ),
    Operation(
        method="GET",
        path="/tokenizer_info",
        endpoint=tokenizer_info,
        gives=TokenizerInfo,
        statuses=(404, 503),
    ),
    Operation(
        method="POST",
        path="/detokenize",
        endpoint=detokenize,
        takes=DetokenizeRequest,
        gives=DetokenizeResponse,
        statuses=(400, 404, 413, 503),
    ),
    Operation(
        method="GET", path="/health", endpoint=health, gives=Health, statuses=(503,), is_open=True
    ),
    Operation(
        method="GET", path="/ready", endpoint=ready, gives=Health, statuses=(503,), is_open=True
    ),
    Operation(method="GET", path="/version", endpoint=version, gives=Version, is_open=True),
    Operation(method="GET", path="/metrics", endpoint=metrics, is_open=True),
    Operation(method="GET", path="/server_info", endpoint=server_info, gives=dict, statuses=(503,)),
)


@cache
def document() -> bytes:
    """The OpenAPI document, as JSON."""
    structs: set[type] = {ErrorResponse}
    for operation in OPERATIONS:
        structs |= {
            s
            for s in (operation.takes, operation.gives, operation.streams)
            if s not in (None, dict)
        }
    ordered = sorted(structs, key=lambda struct: struct.__name__)
    _, components = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = re.sub(r":\w+}", "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Jackfield", "version": __version__},
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _described(operation: Operation) -> dict[str, Any]:
    content = {"text/plain": {}} if operation.gives is None else _json(operation.gives)
    if operation.streams is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    responses = {"200": {"description": "The answer.", "content": content}}
    for status in (*operation.statuses, *(() if operation.is_open else (401,))):
        kind = Health if operation.gives is Health else ErrorResponse
        responses[str(status)] = {"description": "Why not.", "content": _json(kind)}
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses,
        "security": [] if operation.is_open else [{"key": []}, {}],
    }
    if operation.takes is not None:
        found["requestBody"] = {"required": True, "content": _json(operation.takes)}
    names = re.findall(r"{(\w+)", operation.path)
    if names:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    return found


def _json(kind: type) -> dict[str, Any]:
    schema = (
        {"type": "object"} if kind is dict else {"$ref": f"#/components/schemas/{kind.__name__}"}
    )
    return {"application/json": {"schema": schema}}
