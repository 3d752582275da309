"""The arguments that all commands share become settings."""

import argparse

import pytest

from jackfield.cli.settings import add_settings_arguments, load_from_arguments
from jackfield.errors import ConfigError, UnknownSettingError


@pytest.fixture
def load(monkeypatch):
    monkeypatch.delenv("JACKFIELD_CONFIG", raising=False)

    def load(*words, model=False):
        parser = argparse.ArgumentParser()
        if model:
            parser.add_argument("model")
        add_settings_arguments(parser)
        return load_from_arguments(parser.parse_args([str(word) for word in words]))

    return load


def test_set_takes_any_setting(load):
    loaded = load("--set", "cache.block_size=8", "--set", "options.acme.url=a=b")

    assert loaded.config.cache.block_size == 8
    assert loaded.config.options == {"acme": {"url": "a=b"}}


def test_the_model_and_the_short_forms_are_settings(load):
    short = ("--dtype", "float32", "--platform", "cpu", "--quantization", "int8")
    config = load("smollm2", *short, model=True).config

    assert (config.model.reference, config.model.dtype) == ("smollm2", "float32")
    assert config.select == {"platform": "cpu", "quantization": "int8"}


def test_a_file_is_read_and_the_command_line_wins(load, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[cache]\nblock_size = 4\nnum_blocks = 5")

    cache = load("--config", file, "--set", "cache.block_size=8").config.cache

    assert (cache.block_size, cache.num_blocks) == (8, 5)


@pytest.mark.parametrize("entry", ["cache.block_size", "block_size=8", "=8"])
def test_another_form_is_refused_with_an_example(load, entry):
    with pytest.raises(ConfigError, match="--set takes SECTION.KEY=VALUE"):
        load("--set", entry)


def test_an_unknown_setting_is_refused(load):
    with pytest.raises(UnknownSettingError, match=r"command line: cache\.size"):
        load("--set", "cache.size=8")
