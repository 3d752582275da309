"""What goes wrong, and that nothing else is lost by it."""

import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import openai
import pytest

LONG = 60_000  # tokens: an answer that is not over before a test has done something to it
PROMPT = {"model": "tiny", "prompt": [257, *b"abc"]}
FOREVER = {**PROMPT, "max_tokens": LONG - 100}


def load(server):
    """Requests that the engine works on."""
    return server.metric("num_requests_running") + server.metric("num_requests_waiting")


def opened_stream(server, **values):
    """A stream that has given its first piece."""
    stream = server.openai().completions.create(**FOREVER, stream=True, **values)
    next(iter(stream))
    return stream


def all_returned(server):
    return load(server) == 0 and server.metric("kv_cache_usage_perc") == 0


def test_an_engine_that_is_killed_is_started_again_and_waiting_requests_are_asked_again(start):
    with start("--max-num-seqs", "1", max_length=LONG) as server, ThreadPoolExecutor() as pool:
        stream = opened_stream(server)
        waiting = pool.submit(server.openai().completions.create, **PROMPT, max_tokens=3)
        server.wait_for(lambda: server.metric("num_requests_waiting") == 1)
        os.kill(server.engine_pid(), signal.SIGKILL)

        with pytest.raises(openai.APIError, match="engine ended"):
            list(stream)
        assert waiting.result(60).choices[0].text == "abc"
        assert server.metric("engine_restarts_total") == 1
        assert server.http.get("/health").status_code == 200
        server.wait_for(lambda: all_returned(server))


def test_a_worker_that_raises_ends_what_had_begun_and_the_next_engine_serves(start):
    fault = ("--set", "options.reference.fault=raise", "--set", "options.reference.fault_step=5")
    with start(*fault) as server:
        with pytest.raises(openai.APIError, match="engine ended"):
            server.openai().completions.create(**PROMPT, max_tokens=30)
        server.wait_for(lambda: server.http.get("/ready").status_code == 200)
        assert server.openai().completions.create(**PROMPT, max_tokens=2).choices[0].text == "ab"


def test_a_client_that_leaves_frees_its_blocks(start):
    with start(max_length=LONG) as server:
        stream = opened_stream(server)
        server.wait_for(lambda: load(server) == 1)
        stream.close()
        server.wait_for(lambda: all_returned(server), timeout_s=5)
        with pytest.raises(openai.APITimeoutError):
            server.openai().with_options(timeout=0.5).completions.create(**FOREVER)
        server.wait_for(lambda: all_returned(server), timeout_s=5)


@pytest.mark.thorough
def test_a_client_that_never_reads_counts_as_gone(start):
    with start("--set", "options.serve.write_timeout_s=1", max_length=LONG) as server:
        body = b'{"prompt": [257, 97], "max_tokens": 59000, "stream": true}'
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        address = httpx2.URL(server.url)
        with socket.create_connection((address.host, address.port)) as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.sendall(head.encode() + body)
            server.wait_for(lambda: load(server) == 1)
            answer = server.openai().completions.create(**PROMPT, max_tokens=3)
            assert answer.choices[0].text == "abc"  # nobody else waits for it
            server.wait_for(lambda: server.metric("http_requests_open") == 1, timeout_s=30)
        server.wait_for(lambda: all_returned(server))


def test_one_too_many_in_the_queue_is_told_to_come_again(start):
    limit = ("--max-num-seqs", "1", "--max-num-queued-reqs", "2")
    with start(*limit, max_length=LONG) as server, ThreadPoolExecutor() as pool:
        stream = opened_stream(server)
        waiting = [
            pool.submit(server.openai().completions.create, **PROMPT, max_tokens=1)
            for _ in range(2)
        ]
        server.wait_for(lambda: server.metric("num_requests_waiting") == 2)
        with pytest.raises(openai.InternalServerError) as caught:
            server.openai().completions.create(**PROMPT, max_tokens=1)
        assert (caught.value.status_code, caught.value.code) == (503, "queue_full")
        assert caught.value.response.headers["retry-after"] == "1"
        stream.close()
        assert [done.result(60).choices[0].text for done in waiting] == ["a", "a"]


def test_a_deadline_withdraws_the_request(start):
    with start(max_length=LONG) as server:
        headers = {"x-request-timeout-s": "0.3"}
        with pytest.raises(openai.InternalServerError) as caught:
            server.openai().completions.create(**FOREVER, extra_headers=headers)
        assert (caught.value.status_code, caught.value.code) == (504, "deadline")
        server.wait_for(lambda: all_returned(server), timeout_s=5)


def test_a_server_that_is_ended_answers_what_is_under_way_first(start):
    with start(max_length=4000) as server:
        stream = server.openai().completions.create(**PROMPT, max_tokens=2000, stream=True)
        next(iter(stream))
        server.process.send_signal(signal.SIGTERM)
        chunks = list(stream)

        assert chunks[-1].choices[0].finish_reason == "length"
        assert server.process.wait(30) == 0


def test_a_server_that_is_ended_under_load_loses_nothing(start):
    with start("--max-num-seqs", "4", max_length=4000) as server, ThreadPoolExecutor(12) as pool:

        def ask(_):
            stream = server.openai().completions.create(**PROMPT, max_tokens=300, stream=True)
            return [chunk.choices[0] for chunk in stream]

        asked = [pool.submit(ask, number) for number in range(12)]
        server.wait_for(lambda: load(server) == 12 or any(done.done() for done in asked))
        server.process.send_signal(signal.SIGTERM)
        answers = [done.result(60) for done in asked]

        assert {chunks[-1].finish_reason for chunks in answers} == {"length"}
        assert len({"".join(chunk.text for chunk in chunks) for chunks in answers}) == 1
        assert server.process.wait(30) == 0


def test_a_server_does_not_wait_for_ever_for_what_is_under_way(start):
    with start("--set", "options.serve.drain_s=1", max_length=LONG) as server:
        opened_stream(server)
        began_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        server.process.wait(20)
        assert time.monotonic() - began_s < 10


def test_steps_that_stop_while_a_request_waits_are_no_health(start):
    hang = ("--set", "options.reference.fault=hang", "--set", "options.reference.fault_step=3")
    with start(*hang, "--set", "options.serve.stall_s=0.5") as server:

        def ask():
            with suppress(httpx2.TransportError):
                server.http.post("/v1/completions", json={**PROMPT, "max_tokens": 9})

        thread = threading.Thread(target=ask)
        thread.start()
        found = server.wait_for(
            lambda: (
                (r := httpx2.get(f"{server.url}/health", trust_env=False)).status_code == 503 and r
            )
        )
        assert found.json()["status"] == "stalled"
        server.process.kill()
        thread.join()


def test_connections_that_are_opened_and_dropped_leave_nothing(start):
    with start() as server:
        address = httpx2.URL(server.url)
        for _ in range(10_000):
            with socket.create_connection((address.host, address.port)) as dropped:
                dropped.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Le")
        assert server.openai().completions.create(**PROMPT, max_tokens=3).choices[0].text == "abc"
        server.wait_for(
            lambda: len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 60, timeout_s=20
        )


def test_a_prompt_of_50_mb_is_refused_at_once_and_holds_up_nobody(start):
    room = ("--set", "options.serve.max_body_bytes=67108864")
    with start(*room, max_length=LONG) as server, ThreadPoolExecutor(1) as pool:
        body = b'{"prompt": "%s"}' % (b"word " * 10_000_000)

        def ask():
            began_s = time.monotonic()
            answer = httpx2.post(f"{server.url}/v1/completions", content=body, timeout=60)
            return answer, time.monotonic() - began_s

        asked, waits_s = pool.submit(ask), [0.0]
        while not asked.done():
            began_s = time.monotonic()
            server.http.get("/health")
            waits_s.append(time.monotonic() - began_s)
        answer, took_s = asked.result()

        assert (answer.status_code, answer.json()["error"]["code"]) == (
            400,
            "context_length_exceeded",
        )
        assert took_s < 5  # half a second where nothing else runs
        assert max(waits_s) < 2  # of these 0.1
        assert all_returned(server)


def resident_mib(server):
    """Of both processes, files and what they share left out."""
    total = 0
    for pid in (server.process.pid, server.engine_pid()):
        status = Path(f"/proc/{pid}/status").read_text()
        total += int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])
    return total / 1024


def trouble(server):
    """Once all that a client can do wrong, large."""
    post = server.http.post
    post("/v1/completions", content=b'{"prompt": "%s"}' % (b"word " * 4_000_000))
    post("/v1/completions", content=b'{"prompt": [%s1]}' % (b"1," * 1_000_000))
    post("/v1/completions", content=b'{"prompt": ' + b"[" * 1_000_000)
    post("/v1/completions", content=b'{"prompt": "\xff' + b"a" * 4_000_000 + b'"}')
    words = [f"word {number}" for number in range(200_000)]
    schema = {"json": {"enum": words}}
    post("/v1/completions", json={**PROMPT, "structured_outputs": schema})
    for _ in range(20):
        opened_stream(server).close()
        address = httpx2.URL(server.url)
        with socket.create_connection((address.host, address.port)) as dropped:
            dropped.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"a" * 99999)  # fmt: skip


@pytest.mark.thorough
def test_trouble_leaves_no_memory_and_no_blocks_behind(start):
    room = ("--set", "options.serve.max_body_bytes=67108864")
    with start(*room, max_length=LONG) as server:
        # What is imported, and room that the allocator keeps, come in the first rounds; then there is one that adds nothing.
        sizes_mib = [0.0]
        while len(sizes_mib) < 3 or sizes_mib[-1] > sizes_mib[-2] + 5:
            assert len(sizes_mib) < 8, f"memory grows with each round: {sizes_mib} MiB"
            trouble(server)
            server.wait_for(lambda: all_returned(server))
            sizes_mib.append(resident_mib(server))
        assert server.metric("engine_restarts_total") == 0
        assert "Traceback" not in server.log  # a client that left is nobody's fault


def test_a_template_that_loops_is_ended(start):
    template = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with start("--set", "options.serve.template_timeout_s=1") as server:
        body = {"messages": [{"role": "user", "content": "a"}], "chat_template": template}
        found = server.http.post("/v1/chat/completions", json=body)

        assert (found.status_code, "template" in found.text) == (400, True)
        assert server.openai().completions.create(**PROMPT, max_tokens=3).choices[0].text == "abc"


def test_a_key_that_asks_much_does_not_hold_up_another(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[greedy]\nkey = "g"\n[modest]\nkey = "m"\n')
    words = ("--max-num-seqs", "1", "--scheduling-policy", "fair", "--api-keys-file", str(keys))
    with start(*words, max_length=LONG) as server, ThreadPoolExecutor(30) as pool:

        def ask(key):
            server.openai(key).completions.create(**PROMPT, max_tokens=20)
            return time.monotonic()

        # The only row is taken until all others wait, however fast or slow the machine is.
        first = server.openai("g").completions.create(**FOREVER, stream=True)
        next(iter(first))
        greedy = [pool.submit(ask, "g") for _ in range(24)]
        server.wait_for(lambda: server.metric("num_requests_waiting") == 24)
        modest = pool.submit(ask, "m")
        server.wait_for(lambda: server.metric("num_requests_waiting") == 25)
        first.close()
        assert sum(done.result(60) > modest.result(60) for done in greedy) > 12


BROKEN_GRAMMAR = """
import os
from jackfield.interfaces.structured_output import GrammarCompiler, StructuredOutput
from jackfield.grammar import Grammar, GrammarState

NUM_GOOD = int(os.environ["NUM_GOOD"])

class Broken(StructuredOutput):
    forms = frozenset({"regex"})
    def create(self, vocabulary, config):
        return Compiler()

class Compiler(GrammarCompiler, Grammar):
    def compile(self, structured):
        return self
    def start(self):
        return State()

class State(GrammarState):
    is_finished = False
    tokens = 0
    def accept(self, token_id):
        self.tokens += 1
        return True
    def rollback(self, num_tokens):
        self.tokens -= num_tokens
    def fill(self, mask):
        if self.tokens == NUM_GOOD:
            raise ValueError("a table is broken")
        mask[ord("a") // 8] |= 1 << ord("a") % 8
"""


@pytest.mark.parametrize(("num_good", "stream"), [(0, False), (0, True), (2, True)])
def test_a_grammar_that_fails_in_a_step_ends_its_request_alone(start, tmp_path, num_good, stream):
    (tmp_path / "broken_grammar.py").write_text(BROKEN_GRAMMAR)
    local = "structured_output.broken=broken_grammar:Broken"
    words = ("--set", f"plugins.local={local}", "--set", 'plugins.deny=["llguidance"]')
    environment = {"PYTHONPATH": str(tmp_path), "NUM_GOOD": str(num_good)}
    with start(*words, max_length=LONG, env=environment) as server:
        other = opened_stream(server)
        asked = {**PROMPT, "max_tokens": 9, "extra_body": {"guided_regex": "a*"}}
        with pytest.raises(openai.APIError, match="a table is broken"):
            list(server.openai().completions.create(**asked, stream=stream))
        next(iter(other))  # goes on
        other.close()
        server.wait_for(lambda: all_returned(server), timeout_s=10)
