"""The kit that every endpoint must pass: answers, refusals, clients that leave."""

import json

from jackfield_testing.conformance.endpoint import EndpointKit, ask
from jackfield_testing.plugins import load_plugin
from jackfield_testing.serving import ScriptedServing

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}


class TestOllama(EndpointKit):
    name = "ollama"
    good_requests = (
        ("POST", "/generate", {"model": "tiny", "prompt": "Hi"}),
        ("POST", "/generate", {"prompt": "Hi", "raw": True, "options": {"num_predict": 5}}),
        ("POST", "/chat", CHAT),
        ("POST", "/chat", {**CHAT, "stream": False}),
        ("GET", "/tags", None),
        ("GET", "/version", None),
    )
    bad_requests = (
        ("POST", "/generate", {"prompt": 3}),
        ("POST", "/chat", {"messages": []}),
        ("POST", "/chat", {**CHAT, "options": {"mirostat": 2}}),
    )


def test_an_answer_at_once_says_what_the_lines_say_together():
    card = load_plugin("jackfield.endpoints", "ollama")

    streamed = ask(card, ScriptedServing("Hi!"), ("POST", "/chat", CHAT))
    whole = ask(card, ScriptedServing("Hi!"), ("POST", "/chat", {**CHAT, "stream": False}))

    lines = [json.loads(line) for line in streamed.body.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "Hi!"
    assert json.loads(whole.body)["message"] == {"role": "assistant", "content": "Hi!"}
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("stop", 3)
