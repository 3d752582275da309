"""The words of `vllm serve`: which are taken, and what is told of those that are not."""

import argparse
import re
from pathlib import Path

import pytest

from jackfield.errors import ConfigError
from jackfield_openai_server.arguments import (
    ENGINE,
    REFUSED,
    SERVER,
    TAKEN,
    add_serve_arguments,
    settings_of,
)

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-vllm.md"


def settings(*words):
    parser = argparse.ArgumentParser()
    add_serve_arguments(parser)
    return settings_of(parser.parse_args(words))


def test_the_page_for_users_of_vllm_lists_every_word_with_its_setting():
    page = PAGE.read_text()
    words = {word for alias in (*SERVER, *ENGINE) for word in (alias.option, alias.short) if word}
    told = set(re.findall(r"`(--?[a-z][a-z0-9-]*)`", page))

    assert {*words, *TAKEN} <= told
    assert {alias.key for alias in (*SERVER, *ENGINE)} <= set(re.findall(r"`([a-z_.]+)`", page))
    assert all(f"`{option}" in page for option in REFUSED)


def test_a_word_is_its_setting():
    found = settings("--max-model-len", "64", "-tp", "2", "--served-model-name", "a", "b", "--ui")

    assert found == {
        "model.max_length": "64",
        "executor.tensor_parallel": "2",
        "options.serve.names": '["a", "b"]',
        "options.serve.ui": "true",
    }


def test_adapters_are_named_with_folders_or_as_json():
    found = settings("--lora-modules", "sql=a/b", '{"name": "poem", "path": "c"}', "--enable-lora")

    assert found == {"adapters.sql": "a/b", "adapters.poem": "c", "select.adapters": "lora"}


@pytest.mark.parametrize("word", ["--disable-log-requests", "--no-enable-log-requests"])
def test_the_last_of_two_opposite_words_counts_and_overrules_a_file(word):
    assert settings(word) == {"options.serve.log_requests": "false"}
    assert settings(word, "--enable-log-requests") == {"options.serve.log_requests": "true"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--trust-remote-code",), "--trust-remote-code is refused"),
        (("--api-key", "secret"), "--api-key would stand in the list of processes"),
        (("--lora-modules", "sql"), "--lora-modules takes NAME=FOLDER"),
    ],
)
def test_what_is_refused_says_what_to_do_instead(words, message):
    with pytest.raises(ConfigError, match=message):
        settings(*words)
