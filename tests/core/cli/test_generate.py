"""`jackfield generate`, `chat` and `bench` on the reference platform."""

import io
import json

import pytest

from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

pytestmark = pytest.mark.core_model


@pytest.fixture
def words(tmp_path):
    settings = [
        word for key, name in REFERENCE_SETTINGS.items() for word in ("--set", f"{key}={name}")
    ]
    return [write_model(tmp_path / "model", max_length=512), *settings]


def generated(done):
    return [json.loads(line) for line in done.out.splitlines()]


def test_json_is_one_object_a_prompt_in_their_order(jackfield, words):
    done = jackfield(
        "generate", *words, "--json", "--prompt", "one", "--prompt", "two", "--max-tokens", 5
    )

    assert done.status == 0, done.err
    first, second = generated(done)
    assert set(first) == {"index", "prompt", "text", "token_ids", "finish_reason"}
    assert [(line["index"], line["prompt"]) for line in (first, second)] == [(0, "one"), (1, "two")]
    assert len(first["token_ids"]) <= 5


def test_a_prompt_that_is_too_long_fails_alone(jackfield, words):
    done = jackfield("generate", *words, "--json", "--prompt", "x" * 600, "--prompt", "ok")

    failed, fine = generated(done)
    assert done.status == 1
    assert (failed["finish_reason"], fine["finish_reason"] == "error") == ("error", False)
    assert "600" in failed["error"]


def test_prompts_come_from_the_lines_of_a_file(jackfield, words, tmp_path):
    file = tmp_path / "prompts"
    file.write_text("one\n\ntwo\n")

    done = jackfield("generate", *words, "--json", "--prompts-file", file, "--max-tokens", 2)

    assert [line["prompt"] for line in generated(done)] == ["one", "two"]


def test_a_missing_prompts_file_is_named(jackfield, words, tmp_path):
    done = jackfield("generate", *words, "--prompts-file", tmp_path / "none")

    assert done.status == 2
    assert "there is no such file" in done.err


def test_streamed_text_is_the_text(jackfield, words):
    whole = jackfield("generate", *words, "--prompt", "one", "--max-tokens", 20, "--ignore-eos")
    streamed = jackfield(
        "generate", *words, "--prompt", "one", "--max-tokens", 20, "--ignore-eos", "--stream"
    )

    assert streamed.out == whole.out


def test_streamed_lines_bear_the_number_of_their_prompt(jackfield, words):
    done = jackfield("generate", *words, "--stream", "--prompt", "x" * 600, "--prompt", "ok")

    assert done.status == 1
    assert done.err.startswith("[0] failed:")
    assert done.out.startswith("[1] ")


def test_bad_sampling_is_one_clear_message(jackfield, words):
    done = jackfield("generate", *words, "--prompt", "one", "--temperature", "nan")

    assert done.status == 2
    assert "temperature must be a number" in done.err


def test_a_cleared_chat_begins_anew(jackfield, words, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n/clear\nhello\n/exit\nnever\n"))

    done = jackfield("chat", *words, "--max-tokens", 20, "--ignore-eos")

    half = len(done.out) // 2
    assert done.status == 0, done.err
    assert len(done.out) > 2
    assert done.out[:half] == done.out[half:]


@pytest.mark.parametrize(
    ("benchmark", "figure"),
    [
        (("latency", "--input-tokens", 8, "--output-tokens", 8), "decode_tokens_per_s"),
        (("throughput", "--requests", 4, "--low", 4, "--high", 8), "output_tokens_per_s"),
        (("startup",), "first_token_s"),
    ],
)
def test_a_benchmark_reports_machine_versions_and_figures(
    jackfield, words, tmp_path, benchmark, figure
):
    kind, *sizes = benchmark
    file = tmp_path / "report.json"

    done = jackfield("bench", kind, *words, *sizes, "--repeats", 2, "--output", file)

    assert done.status == 0, done.err
    report = json.loads(file.read_text())
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["jackfield"]
    assert len(report["figures"][figure]["samples"]) == 2
    assert report["figures"][figure]["median"] > 0


def test_the_scheduler_benchmark_needs_no_model(jackfield):
    done = jackfield("bench", "scheduler", "--repeats", 1)

    assert json.loads(done.out)["figures"]["one_group"]["step_us_at_256_rows"] > 0
