"""Turns settings of a quantized checkpoint in a file beside config.json into one `quantization_config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jackfield.checkpoint.json_file import read_json
from jackfield.interfaces.model_source import ModelFiles

QUANTIZATION_KEYS = ("quantization_config", "compression_config")  # older files use the second key
_OLD_NAMES = {"w_bit": "bits", "q_group_size": "group_size", "wbits": "bits"}  # llm-awq, SqueezeLLM


def with_quantization(config: Mapping[str, Any], files: ModelFiles) -> Mapping[str, Any]:
    """The config with `quantization_config`, which may stand in a file beside it. Raises CheckpointError.

    A weight format calls this for its config if its producers write such files.
    """
    if any(config.get(key) for key in QUANTIZATION_KEYS):
        return config
    for name, table_of in _FILES.items():
        if path := files.find(name):
            table = table_of(read_json(path))
            if table.get("quant_method"):
                return {**config, QUANTIZATION_KEYS[0]: table}
    return config


def _as_it_is(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return values


def _gptq(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """AutoGPTQ wrote no method, since it had only one."""
    return {"quant_method": "gptq", **values} if "bits" in values else values


def _awq_or_squeezellm(values: Mapping[str, Any]) -> Mapping[str, Any]:
    renamed = {_OLD_NAMES.get(key, key): value for key, value in values.items()}
    method = "squeezellm" if "wbits" in values else "awq"
    return {"quant_method": method, **renamed} if "bits" in renamed else values


def _modelopt(values: Mapping[str, Any]) -> Mapping[str, Any]:
    table = values.get("quantization")
    if not isinstance(table, Mapping) or not table.get("quant_algo"):
        return {}
    excluded = table.get("exclude_modules") or []
    rest = {key: value for key, value in table.items() if key != "exclude_modules"}
    return {"quant_method": "modelopt", **rest, "ignore": excluded}


_FILES: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "quantization_config.json": _as_it_is,  # AutoRound
    "quantize_config.json": _gptq,  # AutoGPTQ, GPTQModel
    "quant_config.json": _awq_or_squeezellm,  # llm-awq, AutoAWQ, SqueezeLLM
    "hf_quant_config.json": _modelopt,  # NVIDIA ModelOpt
}
