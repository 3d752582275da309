"""Scales of the cache are read from checkpoints, in the spellings of their producers."""

import dataclasses
import logging

import pytest

from jackfield.checkpoint.cache_scales import cache_dtype, scale_sources
from jackfield.checkpoint.quantization import read_quantization
from jackfield.dtypes import FLOAT8_E4M3, FLOAT32
from jackfield.interfaces.model_config import STANDARD_MODULES
from jackfield.interfaces.weights import TensorInfo
from jackfield_testing.models import tiny_spec

SPEC = dataclasses.replace(tiny_spec(12), modules=STANDARD_MODULES)
SCHEME = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}


def headers(*names):
    return {name: TensorInfo(name, FLOAT32, (1,), "model.safetensors") for name in names}


@pytest.mark.parametrize(
    "values",
    [{"kv_cache_scheme": SCHEME}, {"kv_cache_scheme": "static"}, {"kv_cache_quant_algo": "FP8"}],
)
def test_keys_and_values_are_kept_in_float8_where_the_config_says_so(values):
    config = {"quantization_config": {"quant_method": "acme", **values}}

    assert read_quantization(config, SPEC).cache_dtype == FLOAT8_E4M3


def test_nothing_is_said_of_the_cache():
    assert cache_dtype({"kv_cache_scheme": None}) is None
    assert cache_dtype({}) is None


def test_a_form_that_nobody_knows_is_told_of(caplog):
    with caplog.at_level(logging.WARNING):
        assert cache_dtype({"kv_cache_scheme": {**SCHEME, "type": "int"}}) is None

    assert "'type': 'int'" in caplog.text
    assert "float8_e4m3" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("self_attn.k_scale", "self_attn.v_scale"),
        ("self_attn.k_proj.k_scale", "self_attn.v_proj.v_scale"),
        ("self_attn.attn.k_scale", "self_attn.attn.v_scale"),
        ("self_attn.k_proj.output_scale", "self_attn.v_proj.output_scale"),
        ("self_attn.kv_scale", "self_attn.kv_scale"),
    ],
)
@pytest.mark.parametrize("prefix", ["model.", ""])
def test_scales_are_found_under_the_names_of_their_producers(prefix, key, value):
    names = [f"{prefix}layers.1.{key}", f"{prefix}layers.1.{value}"]

    found = scale_sources(SPEC, headers(*names))

    assert found.keys() == {"layers.1.mixer.k_scale", "layers.1.mixer.v_scale"}
    assert [found[name].prefix for name in sorted(found)] == names


def test_scales_of_weights_are_none_of_the_cache():
    assert not scale_sources(SPEC, headers("model.layers.1.self_attn.k_proj.weight_scale"))
