"""Configs that mean a known architecture without naming it, and keys that nobody reads."""

import pytest

from jackfield.interfaces.model_source import ModelFiles
from jackfield.startup.architecture import with_architectures
from jackfield.startup.unread import tell_unread, tell_unused_files

KNOWN = {"GPT2LMHeadModel", "Gemma3ForCausalLM", "GemmaForCausalLM", "LlamaForCausalLM"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, ["LlamaForCausalLM"]),
        ({"architectures": ["LlamaModel"]}, ["LlamaForCausalLM"]),
        ({"architectures": ["GPT2Model"]}, ["GPT2LMHeadModel"]),
        ({"architectures": None, "model_type": "llama"}, ["LlamaForCausalLM"]),
        ({"model_type": "gpt2"}, ["GPT2LMHeadModel"]),
        ({"model_type": "gemma3_text"}, ["Gemma3ForCausalLM"]),
        ({"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}, ["LlamaForSequenceClassification"]),
        ({"architectures": ["MambaModel"]}, ["MambaModel"]),
        ({"model_type": "mamba"}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_a_base_model_and_a_model_type_lead_to_the_plugin_of_the_family(values, expected):
    assert with_architectures(values, KNOWN)["architectures"] == expected


def test_keys_that_nobody_reads_are_told_once_without_those_that_change_nothing(caplog):
    tell_unread("x", ["attention_chunk_size", "initializer_range", "transformers_version"])
    tell_unread("x", ["use_cache", "pad_token_id", "_name_or_path"])

    assert len(caplog.records) == 1
    assert "nothing here reads: attention_chunk_size. If" in caplog.text


def test_files_beside_a_model_that_would_change_its_answers_are_told_once(tmp_path, caplog):
    for name in ("adapter_config.json", "mmproj-x.gguf", "README.md"):
        (tmp_path / name).touch()

    tell_unused_files(ModelFiles(reference="x", path=tmp_path))

    assert len(caplog.records) == 1
    assert "adapter_config.json (an adapter" in caplog.text
    assert "README" not in caplog.text
