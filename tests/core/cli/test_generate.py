"""`jackfield generate` and `chat` on the reference platform."""

import argparse
import io
import json
from dataclasses import fields

import pytest

from jackfield.checkpoint.hub import HubSource
from jackfield.cli.prompts import read_prompts
from jackfield.cli.sampling import add_sampling_arguments, given_fields, unescaped
from jackfield.errors import RequestError
from jackfield.sampling import OutputKind, SamplingParams, Structured
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.hub import FILES
from jackfield_testing.models import write_model

pytestmark = [pytest.mark.core_model, pytest.mark.usefixtures("probe_inline")]


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

    done = jackfield("chat", *words, "--max-tokens", 20, "--ignore-eos", "--temperature", 0)

    half = len(done.out) // 2
    assert done.status == 0, done.err
    assert len(done.out) > 2
    assert done.out[:half] == done.out[half:]


def test_a_file_of_json_lines_brings_sampling_fields_and_conversations(jackfield, words, tmp_path):
    file = tmp_path / "prompts.jsonl"
    lines = [
        {"prompt": "a\u2028b\nc", "max_tokens": 2},
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
        {"prompt_token_ids": [35, 36], "temperature": 0},
    ]
    file.write_text("\n".join(map(json.dumps, lines)))

    done = jackfield(
        "generate", *words, "--json", "--prompts-file", file, "--max-tokens", 3, "--ignore-eos"
    )

    assert done.status == 0, done.err
    found = generated(done)
    assert [len(line["token_ids"]) for line in found] == [2, 1, 3]
    assert found[0]["prompt"] == "a\u2028b\nc"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"ok\ncaf\xe9\n", "line 2 has the byte 0xe9 (byte 6 of all)"),
        (b'{"prompt": "a"}\n{"prompt": ', "line 2 is no JSON"),
        (
            b'{"prompt": "a", "temprature": 1}\n',
            "line 1: unknown sampling field 'temprature'; did you mean",
        ),
        (b'{"prompt": "a", "messages": []}\n', "an object has one of prompt, messages"),
        (b"\n\n", "no prompt"),
    ],
)
def test_what_is_wrong_in_a_prompts_file_is_named_with_its_line(
    jackfield, words, tmp_path, content, told
):
    file = tmp_path / "prompts"
    file.write_bytes(content)

    done = jackfield("generate", *words, "--prompts-file", file)

    assert done.status == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_lines_of_a_file_end_at_line_feeds_alone(tmp_path):
    file = tmp_path / "prompts"
    file.write_bytes("\ufeffone\x0ctwo\u2028three\r\nfour\n\n".encode())

    assert [entry.content for entry in read_prompts([], file)] == ["one\x0ctwo\u2028three", "four"]


def test_every_sampling_field_can_be_given():
    parser = argparse.ArgumentParser()
    add_sampling_arguments(parser)
    words = [
        "--max-tokens",
        "none",
        "--min-tokens",
        "1",
        "--temperature",
        "0.5",
        "--top-p",
        "0.9",
        "--top-k",
        "5",
        "--min-p",
        "0.1",
        "--repetition-penalty",
        "1.1",
        "--presence-penalty",
        "0.2",
        "--frequency-penalty",
        "0.3",
        "--seed",
        "7",
        "--n",
        "2",
        "--stop",
        "a\\nb",
        "--include-stop",
        "--stop-token-ids",
        "1",
        "2",
        "--ignore-eos",
        "--logprobs",
        "3",
        "--prompt-logprobs",
        "0",
        "--logit-bias",
        "5=-1",
        "--allowed-token-ids",
        "3",
        "4",
        "--bad-words",
        "no",
        "--logits-processors",
        '{"acme": {"size": 3}}',
        "--use-adapter",
        "sql",
        "--keep-special-tokens",
        "--structured",
        'choice=["yes", "no"]',
    ]

    params = SamplingParams(**given_fields(parser.parse_args(words)))

    expected = {
        "max_tokens": None, "min_tokens": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
        "repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 7, "n": 2,
        "stop": ("a\nb",), "include_stop": True, "stop_token_ids": (1, 2), "ignore_eos": True, "logprobs": 3,
        "prompt_logprobs": 0, "logit_bias": {5: -1.0}, "skip_special_tokens": False,
        "structured": Structured("choice", ("yes", "no")), "allowed_token_ids": (3, 4), "bad_words": ("no",),
        "logits_processors": {"acme": {"size": 3}}, "adapter": "sql",
        "beam_search": None, "output_kind": OutputKind.CUMULATIVE,  # commands print their own way
    }  # fmt: skip
    assert {item.name: getattr(params, item.name) for item in fields(SamplingParams)} == expected


def test_nothing_said_is_what_python_takes():
    parser = argparse.ArgumentParser()
    add_sampling_arguments(parser)

    assert SamplingParams(**given_fields(parser.parse_args([]))) == SamplingParams()


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r"a\nb", "a\nb"), (r"a\\nb", r"a\nb"), (r"\d\t", "\\d\t"), ("\\", "\\"), ("", "")],
)
def test_escapes_in_a_stop_text_are_understood(written, meant):
    assert unescaped(written) == meant


def test_log_probabilities_and_all_answers_are_in_the_json(jackfield, words):
    done = jackfield(
        "generate",
        *words,
        "--json",
        "--prompt",
        "ab",
        "--n",
        2,
        "--logprobs",
        2,
        "--prompt-logprobs",
        1,
        "--max-tokens",
        3,
        "--ignore-eos",
    )

    first, second = generated(done)
    assert (first["n"], second["n"]) == (0, 1)
    assert [len(entry["top"]) for entry in first["logprobs"]] == [2, 2, 2]
    assert first["prompt_logprobs"][0] is None
    assert first["prompt_logprobs"][1]["logprob"] < 0
    assert "".join(entry["text"] for entry in first["logprobs"]) == first["text"]


def test_a_stream_tells_that_an_answer_was_cut_off(jackfield, words):
    done = jackfield(
        "generate", *words, "--stream", "--prompt", "ab", "--max-tokens", 3, "--ignore-eos"
    )

    assert "[cut off after 3 tokens" in done.err


def test_the_model_may_stand_in_a_config_file(jackfield, words, tmp_path):
    file = tmp_path / "m.toml"
    file.write_text(f'[model]\nreference = "{words[0]}"\n')

    done = jackfield("generate", "--config", file, *words[1:], "--prompt", "hi", "--max-tokens", 1)

    assert done.status == 0, done.err


# Chat


def chat(jackfield, words, monkeypatch, text, *options):
    data = text if isinstance(text, bytes) else text.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    return jackfield("chat", *words, "--max-tokens", 5, "--ignore-eos", *options)


def test_a_line_that_is_no_text_is_told_and_the_next_one_answered(jackfield, words, monkeypatch):
    done = chat(jackfield, words, monkeypatch, b"caf\xe9\nhi\n")

    assert done.status == 1
    assert "that line is no text in UTF-8" in done.err
    assert done.out.strip()


def test_a_full_context_leaves_out_the_oldest_turns_and_says_so(jackfield, words, monkeypatch):
    text = "tell me a story of the sea\ngo on\ngo on\nare you there\n"

    done = chat(
        jackfield, words, monkeypatch, text, "--set", "model.max_length=72", "--max-tokens", "20"
    )

    assert done.status == 0, done.err
    assert "the context is full: the oldest 2 messages are left out" in done.err
    assert done.err.count("[cut off after") == 4  # every line was answered


def test_a_message_longer_than_the_context_is_told(jackfield, words, monkeypatch):
    done = chat(jackfield, words, monkeypatch, "x" * 100 + "\nhi\n", "--set", "model.max_length=72")

    assert "this message makes a prompt of" in done.err
    assert done.err.count("[cut off after") == 1


def test_a_chat_knows_its_commands(jackfield, words, monkeypatch, tmp_path):
    file = tmp_path / "said.json"
    text = f"/help\n/system Be brief.\nhi\n/save {file}\n/nothing\n//slash\n/save /proc/none/x\n/exit\nnever\n"

    done = chat(jackfield, words, monkeypatch, text)

    said = json.loads(file.read_text())
    assert [message["role"] for message in said] == ["system", "user", "assistant"]
    assert said[:2] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert "Ctrl-C ends an answer" in done.err
    assert "there is no /nothing" in done.err
    assert "cannot write /proc/none/x" in done.err
    assert done.err.count("[cut off after") == 2


def test_a_model_without_a_chat_template_is_told_before_anybody_types(
    jackfield, words, monkeypatch
):
    def refuse(*_, **__):
        raise RequestError("this tokenizer has no chat template")

    monkeypatch.setattr("jackfield.client.llm.LLM.chat_prompt", refuse)

    done = chat(jackfield, words, monkeypatch, "hi\n")

    assert done.status == 2
    assert "this model cannot chat: this tokenizer has no chat template" in done.err


def test_a_model_without_a_chat_template_is_told_before_its_weights_are_fetched(
    jackfield, hub, monkeypatch, tmp_path
):
    monkeypatch.delitem(FILES, "chat_template.jinja")
    monkeypatch.setitem(FILES, "tokenizer_config.json", b"{}")
    address = f"http://127.0.0.1:{hub.server_port}"
    monkeypatch.setattr(HubSource.__init__, "__defaults__", (address, tmp_path))

    done = jackfield("chat", "acme/tiny")

    assert "acme/tiny has no chat template" in done.err
    assert not [path for path in hub.requests if path.endswith(".safetensors")]


def test_words_behind_the_model_are_a_prompt(jackfield, words):
    done = jackfield("generate", words[0], "the", "sea", *words[1:], "--json", "--max-tokens", 1)

    assert [line["prompt"] for line in generated(done)] == ["the sea"]
