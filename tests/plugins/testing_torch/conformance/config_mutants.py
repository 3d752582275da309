"""Builders that misread their config in one place each; the rest is a sound family's."""

from dataclasses import replace

from jackfield.dtypes import FLOAT16
from jackfield.interfaces.model import ConfigReader
from jackfield_gemma.model import gemma2
from jackfield_llama.model import llama, mistral
from jackfield_qwen.model import qwen2


def _with(config, **changes):
    return ConfigReader({**config.values, **changes})


def _without(config, *keys):
    return ConfigReader({key: value for key, value in config.values.items() if key not in keys})


def _default(config, key, value):
    return config if key in config.values else _with(config, **{key: value})


def theta_default(config):
    is_given = {"rope_parameters", "rope_theta"} & set(config.values)
    return llama(config if is_given else _with(config, rope_theta=1e6))


def kv_heads_default(config):
    return llama(_default(config, "num_key_value_heads", 1))


def no_window_by_default(config):
    return mistral(_default(config, "sliding_window", None))


def scale_default(config):
    return gemma2(_default(config, "query_pre_attn_scalar", 24))


def old_theta_ignored(config):
    return llama(_without(config, "rope_theta"))


def windows_always(config):
    return qwen2(_with(config, use_sliding_window=True))


def bias_ignored(config):
    return llama(_with(config, mlp_bias=False))


def first_end_token(config):
    spec = llama(config)
    return replace(spec, end_token_ids=spec.end_token_ids[:1])


def too_short(config):
    return replace(llama(config), max_length=63)


def half(config):
    return replace(llama(config), dtype=FLOAT16)


def old_dtype_ignored(config):
    return llama(_without(config, "torch_dtype"))


def raw_error_in_a_table(config):
    table = config.get("rope_parameters", dict, {})
    float(table.get("rope_theta", 1.0))
    return llama(config)
