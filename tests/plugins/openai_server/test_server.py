"""What is not one of OpenAI's completions: models, tokens, health, keys, limits."""

import json
import re
from pathlib import Path

import httpx2
import pytest
from openai import AuthenticationError, RateLimitError

from jackfield import __version__


def test_the_dashboard_draws_series_that_exist(server):
    dashboard = Path(__file__).parents[3] / "examples" / "serving" / "grafana_dashboard.json"
    panels = json.loads(dashboard.read_text())["panels"]
    exprs = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    drawn = set(re.findall(r"jackfield_\w+", exprs))
    server.openai().completions.create(model="tiny", prompt="a", max_tokens=2)
    server.http.get("/v1/nothing")
    served = set(re.findall(r"^jackfield_\w+", server.http.get("/metrics").text, re.MULTILINE))

    assert drawn
    assert drawn <= served


def test_models_are_listed_with_their_length(client):
    (model,) = client.models.list().data

    assert (model.id, model.max_model_len) == ("tiny", 512)
    assert client.models.retrieve("tiny").id == "tiny"


def test_tokens_go_there_and_back(server):
    there = server.http.post("/tokenize", json={"prompt": "Hé", "return_token_strs": True}).json()
    back = server.http.post("/detokenize", json={"tokens": there["tokens"]}).json()
    chat = server.http.post("/tokenize", json={"messages": [{"role": "user", "content": "Hi"}]})

    assert (there["tokens"], there["count"]) == ([72, 195, 169], 3)
    assert back == {"prompt": "Hé"}
    assert set(server.http.get("/tokenizer_info").json()) == {"eos_token", "chat_template"}
    assert bytes(chat.json()["tokens"]) == b"user: Hi\nassistant:"


def test_operators_are_answered(server):
    assert server.http.get("/health").json() == {"status": "alive"}
    assert server.http.get("/ready").json() == {"status": "ready"}
    assert server.http.get("/version").json() == {"version": __version__}
    assert server.http.get("/server_info").json()["tiny"]["model"]["architecture"]
    assert server.metric("engine_ready") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"prompt": "\xff"}', 400),
        (b'{"prompt": ' + b"[" * 100_000, 400),
        (b'{"prompt": "\\ud800"}', 400),
        (b'{"prompt": "' + b"a" * (17 << 20) + b'"}', 413),
    ],
    ids=["cut", "list", "no_utf8", "deep", "surrogate", "large"],
)
def test_a_body_that_is_no_request_is_refused_and_harms_nobody(server, body, status):
    found = server.http.post("/v1/completions", content=body)

    assert (found.status_code, set(found.json())) == (status, {"error"})
    assert server.http.get("/health").status_code == 200


def test_unknown_paths_and_methods_have_errors_in_the_same_shape(server):
    assert server.http.get("/v2").json()["error"]["type"] == "not_found_error"
    assert server.http.get("/v1/completions").status_code == 405


def test_the_document_names_every_path_and_resolves(server):
    document = server.http.get("/openapi.json").json()
    text = json.dumps(document)

    assert {"/v1/models", "/v1/completions", "/v1/chat/completions"} <= set(document["paths"])
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])


def test_keys_are_asked_for_and_limit_what_they_may(start, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[alice]\nkey = "open"\nrequests_per_minute = 2\n')
    with start("--api-keys-file", str(keys), env={"JACKFIELD_API_KEY": "sesame"}) as server:
        assert server.openai("sesame").models.list().data
        for wrong in ("sesam", "ü"):
            assert (
                server.http.get("/v1/models", headers={"x-api-key": wrong.encode()}).status_code
                == 401
            )
        with pytest.raises(AuthenticationError):
            server.openai("wrong").models.list()
        assert httpx2.get(f"{server.url}/health", trust_env=False).status_code == 200
        alice = server.openai("open")
        for _ in range(2):
            alice.completions.create(model="tiny", prompt="a", max_tokens=1)
        with pytest.raises(RateLimitError) as caught:
            alice.completions.create(model="tiny", prompt="a", max_tokens=1)
        assert int(caught.value.response.headers["retry-after"]) > 1
        assert server.openai("sesame").completions.create(model="tiny", prompt="a", max_tokens=1)


TELL = """
import json, os
from jackfield.interfaces.hooks import hookimpl

class Tell:
    @hookimpl
    def request_finished(self, output):
        first = output.outputs[0]
        with open(os.environ["TOLD"], "a") as file:
            print(json.dumps([output.trace_parent, first.text, first.finish_reason]), file=file)
"""


def test_observers_know_what_was_answered_and_the_trace_of_whoever_asked(start, tmp_path):
    (tmp_path / "tell.py").write_text(TELL)
    told, parent = tmp_path / "told", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    environment = {"PYTHONPATH": str(tmp_path), "TOLD": str(told)}
    told.touch()
    with start("--set", "plugins.local=hooks.tell=tell:Tell", env=environment) as server:
        for more in ({}, {"stream": True}, {"stream": True, "stop": ["c"]}):
            body = {"prompt": [257, *b"abc"], "max_tokens": 5, **more}
            server.http.post("/v1/completions", json=body, headers={"traceparent": parent})
        server.wait_for(lambda: told.read_text().count("\n") == 3)

        found = [json.loads(line) for line in told.read_text().splitlines()]
        assert found == [
            [parent, "abcab", "length"], [parent, "abcab", "length"], [parent, "ab", "stop"]
        ]  # fmt: skip
