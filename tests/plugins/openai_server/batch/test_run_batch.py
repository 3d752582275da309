"""Batches against a server that runs, and in a process of their own."""

import json
import signal
import subprocess
import sys
import time

import pytest

from jackfield.cli.main import main
from jackfield_testing.models import write_model

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}


def line(custom_id, url="/v1/chat/completions", **body):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body}) + "\n"


@pytest.fixture
def batch(tmp_path, server, capsys):
    """Runs a batch; its exit status and its results by custom_id."""

    def run(text, *words):
        source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        source.write_text(text)
        where = words or ("--url", server.url)
        status = main(["run-batch", "-i", str(source), "-o", str(out), *where])
        capsys.readouterr()
        results = [json.loads(each) for each in out.read_text().splitlines()]
        return status, {result["custom_id"]: result for result in results}

    return run


def test_every_request_has_its_answer_in_the_form_of_openai(batch):
    completion = line("b", "/v1/completions", prompt="a", max_tokens=2)
    vector = line("v", "/v1/embeddings", input="a")
    status, results = batch(line("a", **CHAT) + completion + vector + line("c", **CHAT, n="x"))

    assert status == 1  # one of them is wrong
    answer = results["a"]["response"]
    assert answer["status_code"] == 200
    assert answer["body"]["usage"]["completion_tokens"] == 3
    assert results["b"]["response"]["body"]["object"] == "text_completion"
    assert results["v"]["response"]["body"]["data"][0]["embedding"]
    assert results["c"]["response"]["status_code"] == 400
    assert results["c"]["response"]["body"]["error"]["param"] == "n"


def test_what_an_earlier_run_answered_is_not_asked_again(batch, tmp_path):
    _, first = batch(line("a", **CHAT))
    with (tmp_path / "out.jsonl").open("a") as file:
        file.write('{"id": "x", "custom_id": "z", "error": {"code": "e", "message": "m"}}\n')
        file.write('{"id": "torn')  # the run was killed while it wrote
    status, results = batch(line("a", **CHAT) + line("z", **CHAT))

    assert status == 0
    assert results["a"] == first["a"]
    assert results["z"]["response"]["status_code"] == 200
    assert set(results) == {"a", "z"}


def test_paths_that_are_no_batch_and_lines_that_are_no_requests_are_told(batch, tmp_path, capsys):
    status, results = batch(line("a", "/v1/models"))
    assert (status, results["a"]["error"]["code"]) == (1, "invalid_url")
    (tmp_path / "in.jsonl").write_text(line("a") + '{"url": 3}\n')
    words = ("-i", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "x"), "--url", "http://x")

    assert main(["run-batch", *words]) == 2
    assert "line 2" in capsys.readouterr().err


@pytest.mark.thorough
def test_an_engine_of_its_own_answers_and_what_was_answered_outlives_an_interrupt(tmp_path):
    write_model(tmp_path / "tiny", max_length=40_000)
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(
        line("quick", "/v1/completions", prompt=[65], max_tokens=2)
        + line("long", "/v1/completions", prompt=[65], max_tokens=39_000, ignore_eos=True)
    )
    command = [  # as the program `jackfield` starts: it hears an interrupt also in a shell's background
        *(sys.executable, "-m", "jackfield.cli.entry", "run-batch", str(tmp_path / "tiny")),
        *("--platform", "reference", "--set", "select.weight_format=dummy"),
        *("-i", str(source), "-o", str(out)),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    end_s = time.monotonic() + 60
    while not (out.exists() and "quick" in out.read_text()):
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130

    source.write_text(source.read_text().replace("39000", "3"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    results = [json.loads(each) for each in out.read_text().splitlines()]
    assert [result["custom_id"] for result in results] == ["quick", "long"]
    assert all(result["response"]["status_code"] == 200 for result in results)
