"""Paths that a plugin adds: where they are named alone, with the keys, errors and limits of all others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jackfield_testing.models import write_model

OLLAMA = Path(__file__).parents[3] / "examples" / "third_party" / "endpoint"
LOCAL = "plugins.local=endpoints.ollama=jackfield_acme_ollama.endpoint:OllamaEndpoint"
NAMED = ("--set", LOCAL, "--set", 'options.serve.endpoints=["ollama"]')
ASKED = {"model": "tiny", "prompt": "<echo>ab<end>", "raw": True}


@pytest.fixture(scope="module")
def ollama(serving, tmp_path_factory):
    environment = {"PYTHONPATH": str(OLLAMA), "JACKFIELD_API_KEY": "sesame"}
    with serving(tmp_path_factory.mktemp("ollama"), *NAMED, env=environment) as server:
        server.http.headers["authorization"] = "Bearer sesame"
        yield server


def test_it_answers_with_the_models_that_are_served(ollama):
    lines = ollama.http.post("/api/generate", json=ASKED).text.splitlines()
    told = [json.loads(line) for line in lines]

    assert "".join(line["response"] for line in told) == "ab"
    assert told[-1]["done_reason"] == "stop"
    assert ollama.http.get("/api/tags").json()["models"][0]["name"] == "tiny"


def test_a_conversation_goes_through_the_models_template(ollama):
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": False}
    found = ollama.http.post("/api/chat", json={**body, "options": {"num_predict": 2}}).json()

    assert found["prompt_eval_count"] == len(b"user: Hi\nassistant:")


def test_what_it_lets_pass_is_answered_by_the_server(ollama):
    long = ollama.http.post("/api/generate", json={**ASKED, "prompt": "a" * 600})
    unknown = ollama.http.post("/api/chat", json={"model": "huge", "messages": [{"role": "user"}]})
    keyless = ollama.http.get("/api/tags", headers={"authorization": ""})

    assert long.json()["error"]["code"] == "context_length_exceeded"
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert keyless.status_code == 401
    assert ollama.http.get("/api/nothing").status_code == 404


def test_a_client_that_leaves_frees_its_blocks(ollama):
    with ollama.http.stream("POST", "/api/generate", json={**ASKED, "prompt": "a"}) as answer:
        next(answer.iter_lines())

    ollama.wait_for(lambda: ollama.metric("num_requests_running") == 0, timeout_s=10)


def test_installed_is_not_enough(server):
    assert server.http.get("/api/tags").status_code == 404


def test_a_name_that_nothing_installed_has_is_an_error_of_the_settings(tmp_path):
    write_model(tmp_path / "tiny")
    words = ("--set", 'options.serve.endpoints=["nobodys"]', "--port", "0")
    command = [sys.executable, "-m", "jackfield.cli.main", "serve", str(tmp_path / "tiny"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert "options.serve.endpoints = nobodys: " in done.stderr
