"""The middleware before all endpoints: keys, the size of bodies, and counts of open requests."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.log import REQUESTS
from jackfield_openai_server.options import ServeOptions
from jackfield_openai_server.state import ServerState, state_of

logger = logging.getLogger(REQUESTS)
# These paths need no key: load balancers and metric scrapers use them.
_OPEN_PATHS = ("/health", "/ready", "/version", "/metrics", "/ui")


class Gate:
    """Admits a request, or answers it with an error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called for each request, as an ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        http = Request(scope)
        state = state_of(http)
        began_s, status = time.monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400:
                    state.metrics.refused.labels(str(status)).inc()
            await send(message)

        state.metrics.open_connections.inc()
        try:
            scope["tenant"] = None if _is_open(http) else state.tenants.find(_key(http))
            body = _Body(receive, state.options)
            body.check_declared(http)
            await self._app(scope, body.receive, noted)
        except ApiError as error:
            await error.response()(scope, receive, noted)
        finally:
            state.metrics.open_connections.dec()
            if state.options.log_requests:
                _log(http, state, status, time.monotonic() - began_s)


def _is_open(http: Request) -> bool:
    return http.scope["path"] in _OPEN_PATHS or http.method == "OPTIONS"


def _key(http: Request) -> str | None:
    """`Authorization: Bearer KEY`, or `x-api-key`, which Anthropic's clients send."""
    word, _, key = http.headers.get("authorization", "").partition(" ")
    if word.lower() == "bearer" and key:
        return key.strip()
    return http.headers.get("x-api-key")


class _Body:
    """Counts the bytes of a body while they are read, and the seconds until more of them come."""

    def __init__(self, receive: Receive, options: ServeOptions) -> None:
        self._receive = receive
        self._limit = options.max_body_bytes
        self._timeout_s: float | None = options.read_timeout_s  # None: all has come
        self._num_bytes = 0

    def check_declared(self, http: Request) -> None:
        """Raise ApiError 413 before anything is read."""
        declared = http.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()

    async def receive(self) -> Message:
        """As in ASGI. Raises ApiError 413, or 408."""
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self._receive()
        except TimeoutError:
            text = f"nothing more of the body came for {self._timeout_s:g} s"
            raise ApiError(408, text, code="body_incomplete") from None
        if message["type"] == "http.request":
            if not message.get("more_body"):
                self._timeout_s = None  # what follows is that the client leaves, whenever it does
            self._num_bytes += len(message.get("body", b""))
            if self._num_bytes > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> ApiError:
        return ApiError(
            413,
            f"the body is larger than {self._limit} bytes (options.serve.max_body_bytes)",
            code="body_too_large",
        )


def _log(http: Request, state: ServerState, status: int, seconds: float) -> None:
    """Log one line, without the texts of request and answer."""
    tenant = http.scope.get("tenant")
    fields = {
        "method": http.method,
        "path": http.scope["path"],
        "status": status,
        "seconds": round(seconds, 4),
        "key": tenant.name if tenant else "-",
    }
    text = "%(method)s %(path)s %(status)d %(seconds).3f s %(key)s"
    logger.info(text, fields, extra={"fields": fields})
