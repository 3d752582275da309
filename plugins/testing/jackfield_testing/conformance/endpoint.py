"""The kit of endpoints: requests are answered, refused with a reason, and given up when the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from jackfield.config import EngineConfig
from jackfield.discovery.kinds import ENDPOINTS
from jackfield.errors import JackfieldError, RequestError
from jackfield.interfaces.endpoint import AsgiApp, Endpoint, Message
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.serving import ScriptedServing

Asked = tuple[str, str, Any]
"""Method, path after the endpoint's own, and body: a value that JSON can express, or None."""
_ANSWER_S = 60  # enough for a busy machine
_ENDLESS = 20_000  # pieces of an answer whose end nobody waits for


@dataclass(slots=True)
class Answer:
    """The result of a request."""

    status: int = 0  # 0: no status was sent
    body: bytes = b""
    # An error that the endpoint did not catch; a server answers it.
    error: JackfieldError | None = None
    bodies: list[bytes] = field(default_factory=list)  # pieces of the body

    @property
    def is_refusal(self) -> bool:
        """True if the client was told that the request is wrong."""
        return self.error is not None or 400 <= self.status < 500


class EndpointKit(CardKit):
    """A third party's test file names the entry point, and gives requests."""

    kind = ENDPOINTS
    good_requests: ClassVar[Sequence[Asked]] = ()  # ("POST", "/generate", {"prompt": "Hello"})
    bad_requests: ClassVar[Sequence[Asked]] = ()  # requests that make no sense

    @pytest.fixture
    def needs(self) -> tuple[None]:
        """An endpoint is named by the user, so it is not selected for a need."""
        return (None,)

    def test_its_path_is_one_that_others_can_stand_beside(self, card: Endpoint) -> None:
        """Like `/api`, the path begins with a slash, does not end with one, and is not the root."""
        names = card.path.split("/")
        assert names[0] == "", f"path is {card.path!r}: it must begin with a slash"
        assert len(names) > 1, "path is empty"
        assert all(names[1:]), f"path is {card.path!r}: as /api, without a slash at the end"
        assert card.path.isascii(), f"path is {card.path!r}"
        assert card.path.isprintable(), f"path is {card.path!r}"

    def test_an_application_asks_nothing_before_it_is_asked(self, card: Endpoint) -> None:
        """It is made before models load, and is made again for another server."""
        serving = ScriptedServing()
        first, second = (card.create(serving, EngineConfig()) for _ in range(2))
        assert callable(first), f"create() gave {first!r}, no ASGI application"
        assert callable(second), f"create() gave {second!r}, no ASGI application"
        assert serving.asked == []

    def test_good_requests_are_answered(self, card: Endpoint) -> None:
        """Each answer has a status of success."""
        for asked in self._given(self.good_requests, "good_requests"):
            answer = ask(card, ScriptedServing(), asked)
            assert answer.error is None, f"{asked}: {answer.error}"
            assert 200 <= answer.status < 300, f"{asked}: status {answer.status} {answer.body!r}"

    def test_bad_requests_are_refused(self, card: Endpoint) -> None:
        """The status says that the client is wrong, or a JackfieldError passes, which the server answers."""
        for asked in self._given(self.bad_requests, "bad_requests"):
            answer = ask(card, ScriptedServing(), asked)
            assert answer.is_refusal, f"{asked}: status {answer.status} {answer.body!r}"

    def test_a_body_that_is_no_json_is_refused(self, card: Endpoint) -> None:
        """The bodies are cut in the middle, of another type, or no text at all."""
        for method, path, body in self._given(self.good_requests, "good_requests"):
            for wrong in (b"{", b"[]", b"3", b"\xff") if body is not None else ():
                answer = ask(card, ScriptedServing(), (method, path, wrong))
                assert answer.is_refusal, f"{method} {path} {wrong!r}: status {answer.status}"

    def test_an_unknown_path_is_not_found(self, card: Endpoint) -> None:
        """The same holds for other unknown paths below the endpoint's path."""
        for path in ("/no/such/path", "/%00"):
            answer = ask(card, ScriptedServing(), ("GET", path, None))
            assert answer.status in (404, 405), f"{path}: status {answer.status}"

    def test_what_the_models_refuse_is_told(self, card: Endpoint) -> None:
        """A RequestError passes, or becomes a status that says that the client is wrong."""
        for asked in self._given(self.good_requests, "good_requests"):
            serving = ScriptedServing(error=RequestError("the prompt is too long"))
            answer = ask(card, serving, asked)
            if serving.asked:
                assert answer.is_refusal, f"{asked}: status {answer.status} {answer.body!r}"

    def test_a_client_that_leaves_is_not_answered_on(self, card: Endpoint) -> None:
        """When a client leaves, its streamed answer ends and the request is withdrawn."""
        for asked in self._given(self.good_requests, "good_requests"):
            serving = ScriptedServing("a" * _ENDLESS)
            answer = ask(card, serving, asked, leaves=True)
            if serving.asked and len(answer.bodies) > 1:
                assert serving.num_given < _ENDLESS, f"{asked}: it went on to the end"
                assert serving.num_open == 0, f"{asked}: the generator was not closed"

    def _given(self, requests: Sequence[Asked], name: str) -> Iterator[Asked]:
        if not requests:
            pytest.skip(f"names no {name}")
        yield from requests


def ask(card: Endpoint, serving: ScriptedServing, asked: Asked, *, leaves: bool = False) -> Answer:
    """The answer of an endpoint. A client that `leaves` does so after the first piece of an answer."""
    app = card.create(serving, EngineConfig())
    return asyncio.run(asyncio.wait_for(_answered(app, card.path, asked, leaves=leaves), _ANSWER_S))


async def _answered(app: AsgiApp, prefix: str, asked: Asked, *, leaves: bool) -> Answer:
    method, path, body = asked
    content = (
        body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    )
    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": prefix + path,
        "raw_path": (prefix + path).encode(),
        "root_path": prefix,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    answer, is_asked, is_left = Answer(), False, asyncio.Event()

    async def receive() -> Message:
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            return {"type": "http.request", "body": content, "more_body": False}
        await is_left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
        else:
            answer.bodies.append(message.get("body", b""))
            if leaves:
                is_left.set()
                await asyncio.sleep(0)

    try:
        await app(scope, receive, send)
    except JackfieldError as error:
        answer.error = error
    await asyncio.sleep(0)  # the loop closes generators that were left alone
    answer.body = b"".join(answer.bodies)
    return answer
