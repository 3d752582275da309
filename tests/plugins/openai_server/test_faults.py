"""What is told when something goes wrong, to whom, and when. What else is lost by it: test_nothing_is_lost.py."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import openai
import pytest

LONG = 60_000
PROMPT = {"model": "tiny", "prompt": [257, *b"abc"]}
FOREVER = {**PROMPT, "max_tokens": LONG - 100}  # two minutes, where a step takes 2 ms
SLOW_STEPS = ("--set", "options.reference.step_s=0.002")


def opened_stream(server, **values):
    """A stream that has given its first piece."""
    stream = server.openai().completions.create(**FOREVER, stream=True, **values)
    next(iter(stream))
    return stream


def test_a_client_that_leaves_frees_its_blocks(start):
    with start(*SLOW_STEPS, max_length=LONG) as server:
        stream = opened_stream(server)
        server.wait_for(lambda: server.load == 1)
        stream.close()
        server.wait_for(lambda: server.is_idle, timeout_s=5)
        with pytest.raises(openai.APITimeoutError):
            server.openai().with_options(timeout=0.5).completions.create(**FOREVER)
        server.wait_for(lambda: server.is_idle, timeout_s=5)


def test_one_too_many_in_the_queue_is_told_to_come_again(start):
    limit = ("--max-num-seqs", "1", "--max-num-queued-reqs", "2")
    with start(*limit, *SLOW_STEPS, max_length=LONG) as server, ThreadPoolExecutor() as pool:
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


def test_waiting_prompts_are_counted_in_tokens_too(start):
    limit = ("--max-num-seqs", "1", "--max-num-queued-tokens", "10")
    with start(*limit, *SLOW_STEPS, max_length=LONG) as server, ThreadPoolExecutor() as pool:
        stream = opened_stream(server)
        waiting = pool.submit(server.openai().completions.create, **PROMPT, max_tokens=1)
        server.wait_for(lambda: server.metric("num_requests_waiting") == 1)
        with pytest.raises(openai.InternalServerError, match="would make it 12 prompt tokens"):
            server.openai().completions.create(model="tiny", prompt=[97] * 8, max_tokens=1)
        stream.close()
        assert waiting.result(60).choices[0].text == "a"


def test_a_key_has_only_so_many_requests_under_way(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[alice]\nkey = "a"\nmax_concurrent = 1\n[bob]\nkey = "b"\n')
    words = ("--api-keys-file", str(keys))
    with start(*words, *SLOW_STEPS, max_length=LONG) as server:
        alice, bob = server.openai("a"), server.openai("b")
        stream = alice.completions.create(**FOREVER, stream=True)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError, match="alice has 1 requests under way"):
            alice.completions.create(**PROMPT, max_tokens=1)
        assert bob.completions.create(**PROMPT, max_tokens=1).choices[0].text == "a"
        stream.close()
        server.wait_for(lambda: server.load == 0)
        assert alice.completions.create(**PROMPT, max_tokens=1).choices[0].text == "a"


def test_what_is_urgent_goes_first(start):
    words = ("--max-num-seqs", "1", "--scheduling-policy", "priority")
    with start(*words, *SLOW_STEPS, max_length=LONG) as server, ThreadPoolExecutor() as pool:

        def ask(priority):
            more = {"priority": priority}
            server.openai().completions.create(**PROMPT, max_tokens=50, extra_body=more)
            return time.monotonic()

        first = opened_stream(server, extra_body={"priority": -1})
        late = pool.submit(ask, 5)
        server.wait_for(lambda: server.metric("num_requests_waiting") == 1)
        urgent = pool.submit(ask, 1)
        server.wait_for(lambda: server.metric("num_requests_waiting") == 2)
        first.close()

        assert urgent.result(60) < late.result(60)


def test_a_deadline_withdraws_the_request(start):
    with start(*SLOW_STEPS, max_length=LONG) as server:
        headers = {"x-request-timeout-s": "0.3"}
        with pytest.raises(openai.InternalServerError) as caught:
            server.openai().completions.create(**FOREVER, extra_headers=headers)
        assert (caught.value.status_code, caught.value.code) == (504, "deadline")
        server.wait_for(lambda: server.is_idle, timeout_s=5)


def test_a_server_does_not_wait_for_ever_for_what_is_under_way(start):
    with start("--set", "options.serve.drain_s=1", *SLOW_STEPS, max_length=LONG) as server:
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
        assert server.is_idle


def test_a_key_that_asks_much_does_not_hold_up_another(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[greedy]\nkey = "g"\n[modest]\nkey = "m"\n')
    words = ("--max-num-seqs", "1", "--scheduling-policy", "fair", "--api-keys-file", str(keys))
    with start(*words, *SLOW_STEPS, max_length=LONG) as server, ThreadPoolExecutor(30) as pool:

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
    with start(*words, *SLOW_STEPS, max_length=LONG, env=environment) as server:
        other = opened_stream(server)
        asked = {**PROMPT, "max_tokens": 9, "extra_body": {"guided_regex": "a*"}}
        with pytest.raises(openai.APIError, match="a table is broken"):
            list(server.openai().completions.create(**asked, stream=stream))
        next(iter(other))  # goes on
        other.close()
        server.wait_for(lambda: server.is_idle, timeout_s=10)
