"""Sampling parameters refuse what cannot be meant."""

from __future__ import annotations

import math

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
        ({"top_k": -1}, "top_k"),
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
