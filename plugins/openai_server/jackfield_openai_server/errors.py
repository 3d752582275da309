"""Errors as HTTP answers, in the form that OpenAI's clients read."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from jackfield.errors import EngineError, JackfieldError, RequestError
from jackfield_openai_server.protocol.common import ErrorDetails, ErrorResponse

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


class ApiError(JackfieldError):
    """An error that is sent to a client instead of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s

    def details(self) -> ErrorDetails:
        """The error in the form of the API."""
        kind = _TYPES.get(self.status, "server_error")
        return ErrorDetails(str(self), kind, self.param, self.code)

    def response(self) -> Response:
        """The error as a whole answer."""
        headers = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.status == 408:  # the rest of the request is not waited for
            headers["connection"] = "close"
        body = msgspec.json.encode(ErrorResponse(self.details()))
        return Response(body, self.status, headers, "application/json")


class ClientGone(Exception):  # it is no error: nobody is told
    """The client closed its connection before it got its answer."""


def as_api_error(error: Exception) -> ApiError:
    """The part of an error that a client may see."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestError):
        return _of_request(str(error))
    if isinstance(error, EngineError):
        return ApiError(503, str(error), code="engine_unavailable", retry_after_s=5)
    return ApiError(500, f"the server failed: {type(error).__name__}; its log says more")


def _of_request(message: str) -> ApiError:
    if message.startswith("the prompt has ") and "model.max_length" in message:
        return ApiError(400, message, param="prompt", code="context_length_exceeded")
    if "scheduler.max_waiting" in message:
        return ApiError(503, message, code="queue_full", retry_after_s=1)
    return ApiError(400, message)


async def answer_error(http: Request, error: Exception) -> Response:
    """Starlette's handler for all errors of endpoints."""
    if isinstance(error, ClientGone):
        return Response(status_code=499)
    found = as_api_error(error)
    response = found.response()
    if http.url.path.startswith("/v1/messages"):
        response.body = msgspec.json.encode(_as_anthropic(found))
        response.headers["content-length"] = str(len(response.body))
    return response


def anthropic_error(error: Exception) -> bytes:
    """The event for an answer that fails after it has begun, in Anthropic's form."""
    return (
        b"event: error\ndata: " + msgspec.json.encode(_as_anthropic(as_api_error(error))) + b"\n\n"
    )


def _as_anthropic(error: ApiError) -> dict[str, object]:
    kind = {429: "rate_limit_error", 503: "overloaded_error", 413: "request_too_large"}
    details = error.details()
    found = kind.get(error.status, "api_error" if error.status >= 500 else details.type)
    return {"type": "error", "error": {"type": found, "message": details.message}}
