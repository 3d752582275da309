"""HTTP as uvicorn speaks it with httptools, with limits that the parser lacks: bytes around bodies, and seconds for them."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from jackfield_openai_server.errors import ApiError
from jackfield_openai_server.options import ServeOptions


class LimitedHttp(HttpToolsProtocol):
    """One connection. `limited_http` makes the class for a server's limits.

    What comes without progress (the end of a head, a piece of a body, the end of a request) is counted: heads, but also
    trailers, extensions of chunks and empty lines. While no request is answered a timer runs: uvicorn's between two
    requests, until the next byte; from then on one of ours, which only progress ends.
    """

    max_head_bytes: int
    head_timeout_s: float

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._reads_head = self._reads_body = False
        self._num_bytes = 0  # since the last progress
        self._refusal: ApiError | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvloop's transport
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._num_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._num_bytes > self.max_head_bytes:
            self._refuse(self._too_large())
        else:
            self._watch()

    # Called by the parser

    def on_message_begin(self) -> None:
        """See HttpToolsProtocol."""
        super().on_message_begin()
        self._reads_head = True
        self._stop_timer()  # of the time before the first byte

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol. An error that is raised here ends the connection through `send_400_response`."""
        self._reads_head = False
        self._has_progress()
        lines = sum(
            len(name) + len(value) + 4 for name, value in self.headers
        )  # with ": " and CRLF
        size = len(self.url) + lines
        if size > self.max_head_bytes:
            self._refusal = self._too_large()
            raise self._refusal
        super().on_headers_complete()
        self._reads_body = True

    def on_body(self, body: bytes) -> None:
        """See HttpToolsProtocol. The time for a body is limited while it is read for an answer (`gate`)."""
        self._num_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See HttpToolsProtocol."""
        self._reads_body = False
        self._has_progress()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or is refused, in the form of all errors, and end the connection."""
        if not self.transport.is_closing():
            self._refuse(self._refusal or ApiError(400, msg, code="invalid_http"))

    # Inside

    @property
    def _has_open_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _reads_first_body(self) -> bool:
        """True while the body is read of the request that is answered next, and the answer has not begun."""
        return self._reads_body and not self.pipeline and not self.cycle.response_started

    def _has_progress(self) -> None:
        self._num_bytes = 0
        self._stop_timer()

    def _watch(self) -> None:
        """Let a timer run, unless a request is answered or one runs."""
        if self._timer is None and not self._has_open_answer:
            self._timer = self.loop.call_later(self.head_timeout_s, self._time_is_over)

    def _time_is_over(self) -> None:
        if self._reads_head:
            text = f"the head of the request did not come within {self.head_timeout_s:g} s"
            self._refuse(ApiError(408, text, code="head_incomplete"))
        else:
            self.transport.close()  # nothing was asked, or it is answered and its body goes on

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_large(self) -> ApiError:
        limit = self.max_head_bytes
        what = "what stands around the body" if self._reads_body else "the head"
        text = (
            f"{what} of the request is larger than {limit} bytes (options.serve.max_header_bytes)"
        )
        return ApiError(431, text, code="headers_too_large")

    def _refuse(self, error: ApiError) -> None:
        """End the connection; tell why, unless that would stand within another answer."""
        self._stop_timer()
        if not self._has_open_answer or self._reads_first_body:
            answer = error.response()
            answer.headers["connection"] = "close"
            head = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            self.transport.write(
                b"".join([STATUS_LINE[error.status], *head, b"\r\n", bytes(answer.body)])
            )
        self.transport.close()


def limited_http(options: ServeOptions) -> type[LimitedHttp]:
    """The class with the limits of a server."""
    limits = {
        "max_head_bytes": options.max_header_bytes,
        "head_timeout_s": options.read_timeout_s,
    }
    return type("LimitedHttp", (LimitedHttp,), limits)
