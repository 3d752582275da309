"""What clients and machines do wrong costs nobody else an answer, all blocks come back, and so does memory."""

import json
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai
import pytest

LONG = 60_000
PROMPT = {"model": "tiny", "prompt": [257, *b"abc"]}
FOREVER = {**PROMPT, "max_tokens": LONG - 100}  # two minutes, where a step takes 2 ms
SLOW_STEPS = ("--set", "options.reference.step_s=0.002")
BOUND_MIB = 4  # what a round of a fault may add to the memory that the rounds before it took
MOST_ROUNDS = 6  # imports, caches and the allocator's room come in the first ones


def said(server, num_tokens, *, stream=False):
    """The text of an answer, which says "abc" again and again."""
    asked = {**PROMPT, "max_tokens": num_tokens, "stream": stream}
    answer = server.openai().completions.create(**asked)
    return "".join(chunk.choices[0].text for chunk in (answer if stream else [answer]))


def opened(server):
    """A stream that has begun and will not end by itself."""
    stream = server.openai().completions.create(**FOREVER, stream=True)
    next(iter(stream))
    return stream


@contextmanager
def others_go_on(server, num_tokens=100):
    """Meanwhile two clients ask one request after another; each answer must be whole, and each gets some."""
    is_over = threading.Event()

    def ask(stream):
        texts = [said(server, num_tokens, stream=stream)]
        while not is_over.is_set():
            texts.append(said(server, num_tokens, stream=stream))
        return texts

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, stream) for stream in (False, True)]
        try:
            yield
        finally:
            is_over.set()
        expected = {("abc" * num_tokens)[:num_tokens]}
        assert [set(done.result(60)) for done in asked] == [expected, expected]


def wait_for_blocks(server):
    """Until figures that are newer than all requests say that no block is in use."""
    num_steps = server.metric("engine_steps_total")
    assert said(server, 3) == "abc"
    server.wait_for(lambda: server.metric("engine_steps_total") > num_steps and server.is_idle)


def check_rounds(server, fault):
    """Repeat a fault until a round takes no memory that an earlier one did not. Checks the blocks after each."""
    sizes_mib = []
    while len(sizes_mib) < 2 or sizes_mib[-1] > sizes_mib[-2] + BOUND_MIB:
        assert len(sizes_mib) < MOST_ROUNDS, f"each round takes memory: {sizes_mib} MiB"
        fault()
        wait_for_blocks(server)
        sizes_mib.append(server.memory_mib())


# What clients do


@pytest.fixture(scope="module")
def hardy(serving, tmp_path_factory):
    settings = (
        "options.serve.write_timeout_s=1",
        "options.serve.max_body_bytes=67108864",
        "options.serve.template_timeout_s=0.5",
    )
    words = (*SLOW_STEPS, *(word for setting in settings for word in ("--set", setting)))
    with serving(tmp_path_factory.mktemp("hardy"), *words, max_length=LONG) as server:
        yield server


def connect(server):
    address = httpx2.URL(server.url)
    return socket.create_connection((address.host, address.port))


def refused(server, path, body):
    """Asks what must be refused; what is told."""
    found = server.http.post(path, content=body)
    assert (found.status_code, set(found.json())) == (400, {"error"}), found.text
    return found.json()["error"]["message"]


def a_client_that_never_reads(server):
    body = json.dumps({**FOREVER, "n": 16, "logprobs": 5, "stream": True}).encode()
    with connect(server) as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length"
        silent.sendall(f"{head}: {len(body)}\r\n\r\n".encode() + body)
        server.wait_for(lambda: server.metric("num_requests_running") >= 16)
        server.wait_for(lambda: server.metric("num_requests_running") < 16)  # it counts as gone


def ten_thousand_dropped_connections(server):
    for _ in range(10_000):
        with connect(server) as dropped:
            dropped.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Le")


def malformed_utf_8(server):
    refused(server, "/v1/completions", b'{"prompt": "\xff' + b"a" * 4_000_000 + b'"}')


def a_prompt_of_50_mb(server):
    refused(server, "/v1/completions", b'{"prompt": "%s"}' % (b"word " * 10_000_000))


def deep_json(server):
    refused(server, "/v1/completions", b'{"prompt": ' + b"[" * 1_000_000)
    schema = b'{"not":' * 100_000 + b"{}" + b"}" * 100_000
    refused(server, "/v1/completions", b'{"prompt": "a", "guided_json": %s}' % schema)


def a_schema_with_a_million_alternatives(server):
    words = json.dumps([str(number) for number in range(1_000_000)]).encode()
    for shape in (b'"guided_json": {"enum": %s}', b'"guided_choice": %s'):
        refused(server, "/v1/completions", b'{"prompt": "a", %s}' % (shape % words))


TEMPLATES = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 9 ** (9 ** 9) }}",
    "{% set n = namespace(a='a') %}{% for i in range(50) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "{{ 'a' * 200000000 }}",
)


def templates_that_never_end(server):
    for template in TEMPLATES:
        body = {"messages": [{"role": "user", "content": "a"}], "chat_template": template}
        told = refused(server, "/v1/chat/completions", json.dumps(body).encode())
        assert "the chat template" in told


def clients_that_leave(server):
    for _ in range(10):
        opened(server).close()
        with connect(server) as dropped:
            dropped.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"a" * 99_999)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "fault",
    [
        a_client_that_never_reads,
        ten_thousand_dropped_connections,
        malformed_utf_8,
        a_prompt_of_50_mb,
        deep_json,
        a_schema_with_a_million_alternatives,
        templates_that_never_end,
        clients_that_leave,
    ],
)
def test_what_a_client_does_wrong_costs_nobody_else(hardy, fault):
    num_files = hardy.num_files()
    with others_go_on(hardy):
        fault(hardy)
    check_rounds(hardy, lambda: fault(hardy))

    hardy.wait_for(lambda: hardy.metric("http_requests_open") == 1)  # this one
    hardy.wait_for(lambda: hardy.num_files() < num_files + 10)
    assert hardy.metric("engine_restarts_total") == 0
    assert "Traceback" not in hardy.log  # what a client does is no fault of ours


# What machines do


def lose_engine(server, end):
    """Ends an engine with one answer begun and three that wait; the begun one fails, the others are whole."""
    with ThreadPoolExecutor(3) as pool:
        stream = opened(server)
        waiting = [pool.submit(said, server, 3) for _ in range(3)]
        server.wait_for(lambda: server.metric("num_requests_waiting") == 3)
        end()

        with pytest.raises(openai.APIError, match="the engine ended before the answer did"):
            list(stream)
        assert [done.result(60) for done in waiting] == ["abc"] * 3
    server.wait_for(server.is_ready)


def test_an_engine_that_is_killed_loses_what_it_had_begun_and_nothing_else(start):
    with start("--max-num-seqs", "1", *SLOW_STEPS, max_length=LONG) as server:

        def fault():
            lose_engine(server, lambda: os.kill(server.engine_pid(), signal.SIGKILL))

        check_rounds(server, fault)

        assert server.metric("engine_restarts_total") >= 2
        assert server.http.get("/health").status_code == 200


def test_a_worker_that_raises_in_a_step_loses_what_it_had_begun_and_nothing_else(start, tmp_path):
    now = tmp_path / "now"
    planned = ("--set", "options.reference.fault=raise")
    when = ("--set", f"options.reference.fault_file={now}")
    words = ("--max-num-seqs", "1", *SLOW_STEPS, *planned, *when)
    with start(*words, max_length=LONG) as server:
        check_rounds(server, lambda: lose_engine(server, now.touch))

        assert server.metric("engine_restarts_total") >= 2
        assert server.http.get("/health").status_code == 200


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_full_disk_under_the_log_costs_no_answer(start, log_format):
    words = ("--enable-log-requests", "--log-format", log_format)
    with start(*words, log=Path("/dev/full")) as server:

        def fault():
            body = {**PROMPT, "max_tokens": 3}
            found = [server.http.post("/v1/completions", json=body).json() for _ in range(100)]
            assert {answer["choices"][0]["text"] for answer in found} == {"abc"}

        check_rounds(server, fault)


TELL_LAST = """
import os
from pathlib import Path
from jackfield.interfaces.hooks import hookimpl

class Tell:
    @hookimpl
    def step_finished(self, stats):
        self.stats = stats
    @hookimpl
    def engine_stopped(self, error):
        told = f"{self.stats['num_running']} {self.stats['num_waiting']} {self.stats['cache_usage']} {error}"
        Path(os.environ["TOLD"]).write_text(told)
"""


def test_a_server_that_is_ended_under_load_answers_all_and_leaves_nothing(start, tmp_path):
    (tmp_path / "tell_last.py").write_text(TELL_LAST)
    words = ("--max-num-seqs", "4", "--set", "plugins.local=hooks.tell=tell_last:Tell")
    told = tmp_path / "told"
    environment = {"PYTHONPATH": str(tmp_path), "TOLD": str(told)}
    with (
        start(*words, *SLOW_STEPS, max_length=LONG, env=environment) as server,
        ThreadPoolExecutor(12) as pool,
    ):
        asked = [pool.submit(said, server, 300, stream=bool(n % 2)) for n in range(12)]
        server.wait_for(lambda: server.load == 12)
        pids = (server.process.pid, server.engine_pid())
        server.process.send_signal(signal.SIGTERM)

        assert [done.result(60) for done in asked] == ["abc" * 100] * 12
        assert server.process.wait(30) == 0
        running, waiting, usage, error = told.read_text().split(maxsplit=3)
        assert (float(running), float(waiting), float(usage), error) == (0, 0, 0, "None")
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)  # all memory is back
