"""HTTP as uvicorn speaks it with httptools, with limits that the parser lacks: bytes of a request's head, and seconds for it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.options import ServeOptions


class LimitedHttp(HttpToolsProtocol):
    """One connection. `limited_http` makes the class for a server's limits."""

    max_head_bytes: int
    head_timeout_s: float

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._reads_head = True
        self._num_head_bytes = 0
        self._refusal: ApiError | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvloop's transport
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        read_head = self._reads_head
        super().data_received(data)
        if read_head and self._reads_head and self._refusal is None:
            self._num_head_bytes += len(data)
            if self._num_head_bytes > self.max_head_bytes:
                self._refuse(self._too_large())

    # Called by the parser

    def on_message_begin(self) -> None:
        """See HttpToolsProtocol."""
        super().on_message_begin()
        if not self._reads_head:  # not the first request of the connection
            self._expect_head()

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol. An error that is raised here ends the connection through `send_400_response`."""
        self._reads_head = False
        self._stop_timer()
        lines = sum(
            len(name) + len(value) + 4 for name, value in self.headers
        )  # with ": " and CRLF
        size = len(self.url) + lines
        if size > self.max_head_bytes:
            self._refusal = self._too_large()
            raise self._refusal
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or is refused, in the form of all errors, and end the connection."""
        if not self.transport.is_closing():
            self._refuse(self._refusal or ApiError(400, msg, code="invalid_http"))

    # Inside

    def _expect_head(self) -> None:
        self._reads_head, self._num_head_bytes = True, 0
        self._timer = self.loop.call_later(self.head_timeout_s, self._time_is_over)

    def _time_is_over(self) -> None:
        if self._num_head_bytes:
            text = f"the head of the request did not come within {self.head_timeout_s:g} s"
            self._refuse(ApiError(408, text))
        else:
            self.transport.close()  # nothing was asked

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_large(self) -> ApiError:
        limit = self.max_head_bytes
        text = (
            f"the head of the request is larger than {limit} bytes (options.serve.max_header_bytes)"
        )
        return ApiError(431, text, code="headers_too_large")

    def _refuse(self, error: ApiError) -> None:
        self._refusal = error
        self._stop_timer()
        answer = error.response()
        head = [STATUS_LINE[error.status], b"connection: close\r\n"]
        head += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()


def limited_http(options: ServeOptions) -> type[LimitedHttp]:
    """The class with the limits of a server."""
    limits = {
        "max_head_bytes": options.max_header_bytes,
        "head_timeout_s": options.read_timeout_s,
    }
    return type("LimitedHttp", (LimitedHttp,), limits)
