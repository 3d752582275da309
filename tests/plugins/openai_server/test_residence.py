"""Several models in one server."""

import json
import os
from contextlib import suppress

import openai
import pytest

from jackfield_testing.models import write_model

ONE = """
[model]
reference = "{path}"
max_length = {length}
[select]
platform = "reference"
weight_format = "dummy"
[options.reference]
echo_token_id = 257
step_s = 0.002
"""


@pytest.fixture
def several(start, tmp_path):
    """Starts a server with the models a, b and c."""
    entries = []
    for name in "abc":
        write_model(tmp_path / name, max_length=60_000)
        (tmp_path / f"{name}.toml").write_text(ONE.format(path=tmp_path / name, length=60_000))
        entries.append(f"{name}={tmp_path / name}.toml")

    def make(*words):
        settings = (f"options.serve.models={json.dumps(entries)}", "options.serve.admin=true")
        return start(*(word for s in (*settings, *words) for word in ("--set", s)), model="")

    return make


def answer(server, model):
    prompt = {"model": model, "prompt": [257, *b"abc"], "max_tokens": 3}
    return server.openai().completions.create(**prompt).choices[0].text


def loaded(server):
    return [m["id"] for m in server.http.get("/admin/models").json() if m["is_loaded"]]


def test_the_model_that_was_not_used_for_longest_makes_room(several):
    with several("options.serve.max_loaded_models=2") as server:
        assert loaded(server) == ["a", "b"]
        assert [m.id for m in server.openai().models.list()] == ["a", "b", "c"]
        assert answer(server, "a") == "abc"
        assert answer(server, "c") == "abc"
        assert loaded(server) == ["a", "c"]
        assert answer(server, "b") == "abc"
        assert loaded(server) == ["b", "c"]
        assert server.http.get("/ready").status_code == 200


def test_a_model_with_requests_does_not_make_room(several):
    with several("options.serve.max_loaded_models=1") as server:
        forever = {"model": "a", "prompt": [257, 97], "max_tokens": 59_000, "stream": True}
        stream = server.openai().completions.create(**forever)
        next(iter(stream))
        impatient = server.openai().with_options(timeout=2)
        with pytest.raises(openai.APITimeoutError):
            impatient.completions.create(model="b", prompt=[257, 97], max_tokens=1)
        assert loaded(server) == ["a"]
        stream.close()
        assert answer(server, "b") == "abc"


def test_memory_is_a_budget(several):
    with several("options.serve.models_memory_bytes=1000") as server:  # too little for any two
        assert len(loaded(server)) == 1
        for name in "cab":
            assert answer(server, name) == "abc"
            server.wait_for(lambda: len(loaded(server)) == 1, timeout_s=10)


def test_an_operator_loads_and_unloads(several):
    with several("options.serve.max_loaded_models=1") as server:
        pid = server.engine_pid()
        found = server.http.post("/admin/models/a/unload").json()
        assert (found["is_loaded"], loaded(server)) == (False, [])
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            pytest.fail("the engine still runs")
        assert server.http.post("/admin/models/c/load").json()["memory_bytes"] > 1 << 20
        assert server.http.post("/admin/models/d/load").status_code == 404


def test_the_admin_paths_and_the_page_are_not_there_unless_asked_for(server):
    assert server.http.get("/admin/models").status_code == 404
    assert server.http.get("/ui").status_code == 404
    assert server.http.get("/ui/state").status_code == 404


def test_one_line_of_json_tells_of_a_request_without_its_text(start):
    with start("--log-format", "json", "--enable-log-requests") as server:
        server.openai().completions.create(model="tiny", prompt="secret", max_tokens=1)
        # The line is written when the answer is sent.
        line = server.wait_for(
            lambda: next((x for x in server.log.splitlines() if "/v1/completions" in x), None)
        )

    found = json.loads(line)
    assert (found["method"], found["path"], found["status"]) == ("POST", "/v1/completions", 200)
    assert found["seconds"] > 0
    assert "secret" not in server.log
