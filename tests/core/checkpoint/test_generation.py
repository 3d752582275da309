"""What generation_config.json says becomes defaults of sampling parameters, as Transformers would use it."""

import pytest

from jackfield.checkpoint.generation import sampling_defaults
from jackfield.errors import CheckpointError


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ({}, {}),
        ({"bos_token_id": 1, "eos_token_id": [2, 3], "transformers_version": "5.0"}, {}),
        ({"do_sample": True, "temperature": 0.6, "top_p": 0.9}, {"temperature": 0.6, "top_p": 0.9}),
        ({"temperature": 0.7, "top_k": 20, "min_p": None}, {"temperature": 0.7, "top_k": 20}),
        ({"do_sample": False, "top_p": 0.9, "repetition_penalty": 1.1}, {"temperature": 0.0, "repetition_penalty": 1.1}),
        ({"max_new_tokens": 50, "stop_strings": ["END"]}, {"max_tokens": 50, "stop": ("END",)}),
    ],
)  # fmt: skip
def test_sampling_fields_are_taken(generation, expected):
    assert sampling_defaults(generation, "x") == expected


def test_what_is_not_served_is_told_in_one_warning(caplog):
    sampling_defaults({"num_beams": 4, "no_repeat_ngram_size": 3, "typical_p": 1.0}, "the file x")

    assert [r.getMessage() for r in caplog.records] == [
        "the file x asks for what is not served: num_beams, no_repeat_ngram_size"
    ]


def test_a_value_that_makes_no_sense_names_the_file():
    with pytest.raises(CheckpointError, match="the file x cannot be used: top_p must be in"):
        sampling_defaults({"top_p": 3.0}, "the file x")
