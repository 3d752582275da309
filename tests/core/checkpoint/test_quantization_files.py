"""Quantization settings are also read from files beside config.json."""

import json

import pytest

from jackfield.checkpoint.quantization_files import with_quantization
from jackfield.interfaces.model_source import ModelFiles


@pytest.mark.parametrize(
    ("name", "content", "table"),
    [
        (
            "quantize_config.json",
            {"bits": 4, "group_size": 128, "desc_act": True},
            {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
        ),
        (
            "quant_config.json",
            {"w_bit": 4, "q_group_size": 64, "zero_point": True, "version": "GEMV"},
            {
                "quant_method": "awq",
                "bits": 4,
                "group_size": 64,
                "zero_point": True,
                "version": "GEMV",
            },
        ),
        ("quant_config.json", {"wbits": 3}, {"quant_method": "squeezellm", "bits": 3}),
        (
            "quantization_config.json",
            {"quant_method": "auto-round", "bits": 2},
            {"quant_method": "auto-round", "bits": 2},
        ),
        (
            "hf_quant_config.json",
            {"producer": {}, "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}},
            {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head"]},
        ),
    ],
    ids=["AutoGPTQ", "llm-awq", "SqueezeLLM", "AutoRound", "ModelOpt"],
)
def test_a_file_beside_the_config_is_its_table(tmp_path, name, content, table):
    (tmp_path / name).write_text(json.dumps(content))

    config = with_quantization({"vocab_size": 7}, ModelFiles(reference="m", path=tmp_path))

    assert config == {"vocab_size": 7, "quantization_config": table}


def test_the_table_of_the_config_goes_first(tmp_path):
    (tmp_path / "quantize_config.json").write_text('{"bits": 8}')
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}

    assert with_quantization(config, ModelFiles(reference="m", path=tmp_path)) == config


def test_a_folder_without_such_a_file_stays_plain(tmp_path):
    (tmp_path / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": null}}')

    assert with_quantization({}, ModelFiles(reference="m", path=tmp_path)) == {}
