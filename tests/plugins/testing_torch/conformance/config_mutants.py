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


def epsilon_default(config):
    return llama(_default(config, "rms_norm_eps", 1e-5))


def kv_heads_default(config):
    return llama(_default(config, "num_key_value_heads", 1))


def kv_heads_of_null(config):
    null = config.values.get("num_key_value_heads", 0) is None
    return llama(_with(config, num_key_value_heads=1) if null else config)


def no_window_by_default(config):
    return mistral(_default(config, "sliding_window", None))


def window_pattern_default(config):
    kinds = ["sliding_attention" if i % 2 else "full_attention" for i in range(2)]
    return gemma2(_default(config, "layer_types", kinds))


def soft_cap_default(config):
    return gemma2(_default(config, "final_logit_softcapping", None))


def scale_default(config):
    return gemma2(_default(config, "query_pre_attn_scalar", 24))


def end_token_default(config):
    return llama(_default(config, "eos_token_id", None))


def old_theta_ignored(config):
    return llama(_without(config, "rope_theta"))


def old_scaling_ignored(config):
    return llama(_without(config, "rope_scaling"))


def windows_always(config):
    return qwen2(_with(config, use_sliding_window=True))


def head_size_ignored(config):
    return llama(_without(config, "head_dim"))


def scale_of_the_hidden_size(config):
    spec = llama(config)
    scale = (spec.hidden_size // spec.layers[0].mixer.num_heads) ** -0.5
    layers = [replace(layer, mixer=replace(layer.mixer, scale=scale)) for layer in spec.layers]
    return replace(spec, layers=tuple(layers))


def bias_ignored(config):
    return llama(_with(config, mlp_bias=False))


def activation_ignored(config):
    return llama(_with(config, hidden_act="silu"))


def tie_ignored(config):
    return llama(_with(config, tie_word_embeddings=False))


def scaling_ignored(config):
    table = {**config.values.get("rope_parameters", {}), "rope_type": "default"}
    return llama(_with(_without(config, "rope_scaling"), rope_parameters=table))


def no_end(config):
    return replace(llama(config), end_token_ids=())


def first_end_token(config):
    spec = llama(config)
    return replace(spec, end_token_ids=spec.end_token_ids[:1])


def always_an_end(config):
    spec = llama(config)
    return replace(spec, end_token_ids=spec.end_token_ids or (2,))


def too_long(config):
    return replace(llama(config), max_length=1_000_000)


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
