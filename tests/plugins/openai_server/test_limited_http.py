"""Limits of a connection: what a client may send around bodies, and for how long, without harm to answers under way."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from jackfield_openai_server.limited_http import limited_http
from jackfield_openai_server.options import ServeOptions

TIMEOUT_S = 0.2
SLOW_S = 3 * TIMEOUT_S
GET = b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /%s HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


async def application(scope, receive, send):
    """/body reads the request and answers with its size, /early does not read it, /slow answers in two pieces."""
    answer = b"ok"
    if scope["path"] == "/body":
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size, more = size + len(message["body"]), message["more_body"]
        answer = b"%d" % size
    headers = [(b"content-length", b"%d" % (len(answer) + 5))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW_S)
    await send({"type": "http.response.body", "body": answer})


def exchanged(first, piece=b"", *, every_s=0.05, timeout_s=TIMEOUT_S):
    """What is answered to bytes, after which `piece` is sent again and again, until the server closes the connection."""

    async def run():
        options = ServeOptions(read_timeout_s=timeout_s)
        words = {"log_config": None, "ws": "none", "access_log": False, "timeout_keep_alive": 1}
        config = Config(application, lifespan="off", **words)
        config.load()
        made = partial(limited_http(options), config, ServerState(), {})
        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def send():
            writer.write(first)
            while piece:
                await asyncio.sleep(every_s)
                writer.write(piece)

        sender, answer = asyncio.create_task(send()), b""
        try:
            async with asyncio.timeout(10):
                with suppress(ConnectionError):
                    while data := await reader.read(1 << 16):
                        answer += data
        finally:
            sender.cancel()
            writer.close()
            server.close()
        return answer.decode()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("first", "endless"),
    [
        (POST % b"body" + CHUNKED + b"0\r\n", b"x: a\r\n"),
        (POST % b"body" + CHUNKED + b"1;", b"a"),
        (GET % b"early", b"\r\n"),
    ],
    ids=["trailers", "extension_of_a_chunk", "empty_lines"],
)
def test_what_stands_around_bodies_is_limited(first, endless):
    found = exchanged(first, endless * (8192 // len(endless)), every_s=0.001, timeout_s=60)

    assert "firstok" in found or found == "" or found.startswith("HTTP/1.1 431 ")


def test_small_chunks_with_extensions_make_a_large_body():
    chunks = b"1;note=%s\r\na\r\n" % (b"a" * 100) * 2000

    assert exchanged(POST % b"body" + CHUNKED + chunks + b"0\r\n\r\n").endswith("first2000")


@pytest.mark.parametrize("next_head", [b"GET /", b"GET / HTTP/1.1\r\nx: a"], ids=["line", "header"])
def test_a_slow_answer_is_not_cut_by_a_next_request_that_does_not_come(next_head):
    found = exchanged(GET % b"slow" + next_head, b"a")

    assert found.count("HTTP/1.1") == 2
    assert "firstok" in found
    assert found.partition("firstok")[2].startswith("HTTP/1.1 408 ")


def test_a_next_head_that_is_too_large_is_not_answered_within_an_answer():
    found = exchanged(GET % b"slow" + b"GET / HTTP/1.1\r\nx: " + b"a" * 1_000_000)

    assert "431" not in found


def test_bytes_of_a_whole_request_do_not_count_for_the_next_head():
    large = b"x: " + b"a" * 60_000 + b"\r\n"
    requests = (GET[:-2] % b"one" + large + b"\r\n") + GET[:-2] % b"two" + large

    assert exchanged(requests + b"\r\n").count("firstok") == 2
    assert "431" not in exchanged(requests)


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (POST % b"early" + b"content-length: 99999\r\n\r\n", b"a"),
        (GET % b"early", b"\r\n"),
        (GET % b"early", b"G"),
    ],
    ids=["rest_of_an_answered_body", "empty_lines", "next_head"],
)
def test_single_bytes_keep_no_connection_open(first, piece):
    assert "firstok" in exchanged(first, piece)
