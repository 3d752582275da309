"""Sampling parameters refuse values without a meaning."""

from __future__ import annotations

import math
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from jackfield.errors import RequestError
from jackfield.sampling import SamplingParams


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"max_tokens": -1}, "max_tokens must be a whole number of at least 1 or None, got -1"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens must not exceed max_tokens, got 9 > 8"),
        ({"temperature": math.nan}, r"temperature must be a number in \[0, 100\], got nan"),
        ({"temperature": -0.1}, r"temperature must be in \[0, 100\], got -0.1"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_k": -2}, "top_k"),
        ({"stop": 5}, "stop must be a list of texts or None, got 5"),
        ({"stop_token_ids": 5}, "stop_token_ids must be a list of token ids or None, got 5"),
        ({"stop_token_ids": ["end"]}, "stop_token_ids must hold token ids, got 'end'"),
        ({"allowed_token_ids": []}, "allowed_token_ids must hold at least one token id"),
        ({"allowed_token_ids": ["a"]}, "allowed_token_ids must hold token ids, got 'a'"),
        ({"bad_words": [""]}, "bad_words must hold texts or lists of token ids that are not"),
        ({"bad_words": [[1, -2]]}, r"bad_words must hold .*, got \(1, -2\)"),
        ({"output_kind": "all"}, "output_kind must be one of cumulative, delta, final, got 'all'"),
        ({"beam_search": 0}, "beam_search.width must be a whole number of at least 1, got 0"),
        ({"beam_search": {"size": 4}}, "beam_search must be a mapping with width"),
        ({"beam_search": 2, "n": 3}, "n must not exceed beam_search.width, got 3 > 2"),
        ({"beam_search": 2, "stop": "."}, r"beam_search .* leave out stop, got \('.',\)"),
        ({"structured": {"json": {"const": {1, 2}}}}, "structured.json cannot be written as JSON"),
        ({"logit_bias": 5}, "logit_bias must map token ids to numbers, got 5"),
        ({"logit_bias": {5: None}}, "logit_bias must map token ids to numbers, got 5: None"),
        ({"logit_bias": {5: "1"}}, "logit_bias"),
        ({"top_k": np.bool_(True)}, "top_k"),
        ({"min_p": 1.5}, r"min_p must be in \[0, 1\], got 1.5"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"seed": -3}, "seed"),
        ({"stop": ("",)}, "stop must hold strings that are not empty"),
        ({"logit_bias": {-1: 0.5}}, "logit_bias"),
        ({"logit_bias": {1: math.nan}}, "logit_bias"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(values, told):
    with pytest.raises(RequestError, match=told):
        SamplingParams(**values)


def test_an_unknown_field_tells_the_nearest_and_what_is_allowed():
    with pytest.raises(
        RequestError, match=r"'temprature'; did you mean 'temperature'\? Allowed: .*top_p"
    ):
        SamplingParams.from_mapping({"temprature": 1.0})


def test_one_stop_string_is_a_tuple_of_one():
    assert SamplingParams(stop="end").stop == ("end",)


def test_temperature_zero_is_greedy():
    assert SamplingParams(temperature=0).is_greedy


@pytest.mark.parametrize("name", [item.name for item in fields(SamplingParams)])
def test_none_is_the_default_of_every_field(name):
    expected = None if name == "max_tokens" else getattr(SamplingParams(), name)

    assert getattr(SamplingParams(**{name: None}), name) == expected


def test_numbers_of_numpy_and_lists_become_those_of_python():
    params = SamplingParams(
        top_k=np.int64(5), seed=np.int32(3), temperature=np.float32(0.5), max_tokens=np.uint8(7),
        stop=["a"], stop_token_ids=np.array([1, 2]), logit_bias={np.int64(4): np.float64(0.5), "6": 1},
    )  # fmt: skip

    assert [type(v) for v in (params.top_k, params.seed, params.temperature)] == [int, int, float]
    assert (params.max_tokens, params.stop, params.stop_token_ids) == (7, ("a",), (1, 2))
    assert params.logit_bias == {4: 0.5, 6: 1}


def test_all_tokens_are_meant_by_minus_one_too():
    assert SamplingParams(top_k=-1).top_k == 0


def test_defaults_of_a_model_fill_what_was_left_open_and_nothing_else():
    model = {"temperature": 0.6, "top_p": 0.9, "max_tokens": 9, "stop": ("\n",)}

    found = SamplingParams(top_p=1.0, stop=()).with_defaults(model)

    assert (found.temperature, found.top_p, found.max_tokens, found.stop) == (0.6, 1.0, 9, ())
    assert SamplingParams(max_tokens=None).with_defaults(model).max_tokens is None
    again = pickle.loads(pickle.dumps(replace(SamplingParams(), seed=1)))
    assert again.with_defaults(model).temperature == 0.6
