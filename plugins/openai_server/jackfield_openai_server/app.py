"""The ASGI application: its paths, its middleware, and its start and end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from jackfield.errors import JackfieldError
from jackfield_openai_server.endpoints.adapters import load_adapter, unload_adapter
from jackfield_openai_server.endpoints.admin import list_model_states, load_model, unload_model
from jackfield_openai_server.endpoints.ui import UI_ROUTES
from jackfield_openai_server.errors import ApiError, ClientGone, answer_error
from jackfield_openai_server.gate import Gate
from jackfield_openai_server.openapi import OPERATIONS, document
from jackfield_openai_server.state import ServerState

ADMIN_ROUTES = (
    Route("/admin/models", list_model_states),
    Route("/admin/models/{model:path}/load", load_model, methods=["POST"]),
    Route("/admin/models/{model:path}/unload", unload_model, methods=["POST"]),
    Route("/v1/load_lora_adapter", load_adapter, methods=["POST"]),
    Route("/v1/unload_lora_adapter", unload_adapter, methods=["POST"]),
)
Life = Callable[[ServerState], Awaitable[None]]


def make_app(
    state: ServerState, begin: Life, end: Life, more_routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """The application. `begin` and `end` start and close the served models; `routes` are those of plugins."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncGenerator[None, None]:
        await begin(state)
        try:
            yield
        finally:
            await end(state)

    routes = [
        Route(operation.path, operation.endpoint, methods=[operation.method])
        for operation in OPERATIONS
    ]
    if state.options.admin:
        routes += ADMIN_ROUTES
    if state.options.ui:
        routes += UI_ROUTES
    middleware = [Middleware(Gate)]
    if state.options.allow_origins:
        middleware.insert(
            0,
            Middleware(
                CORSMiddleware,
                allow_origins=list(state.options.allow_origins),
                allow_methods=["*"],
                allow_headers=["*"],
            ),
        )
    app = Starlette(
        routes=[*routes, Route("/openapi.json", _openapi), *more_routes],
        middleware=middleware,
        exception_handlers={
            HTTPException: _answer_http,
            JackfieldError: answer_error,  # and all its subclasses
            ClientGone: answer_error,
            # A fault of ours: Starlette raises it again, so that it is logged.
            Exception: answer_error,
        },
        lifespan=life,
    )
    app.state.server = state
    return app


async def _openapi(_: Request) -> Response:
    return Response(document(), media_type="application/json")


async def _answer_http(http: Request, error: Exception) -> Response:
    """Answer for errors of Starlette itself: unknown paths and methods."""
    assert isinstance(error, HTTPException), "registered for this class alone"
    allowed = (error.headers or {}).get("Allow", "other methods")
    texts = {
        404: f"there is no path {http.url.path!r} here; GET /openapi.json lists them",
        405: f"{http.url.path} does not take {http.method}; it takes {allowed}",
    }
    response = ApiError(error.status_code, texts.get(error.status_code, error.detail)).response()
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
