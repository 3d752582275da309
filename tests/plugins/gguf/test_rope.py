"""Rotary scaling is found in the metadata and in the divisors of frequencies."""

import math

import numpy as np
import pytest

from jackfield.errors import CheckpointError
from jackfield_gguf.metadata import Metadata
from jackfield_gguf.reader import GgufFile
from jackfield_gguf.rope import read_scaling


@pytest.fixture
def scaling_of(maker):
    def read(metadata, divisors=None, theta=500_000.0):
        tensors = {} if divisors is None else {"rope_freqs.weight": divisors.astype(np.float32)}
        maker.write("llama", metadata, tensors)
        file = GgufFile(maker.path)
        try:
            return read_scaling(Metadata(file), theta)
        finally:
            file.close()

    return read


def llama3_divisors(factor, low, high, length, size, theta):
    """As converters write them (Llama 3.1's rule, by wave lengths)."""
    divisors = []
    for i in range(0, size, 2):
        wave = 2 * math.pi * theta ** (i / size)
        if wave < length / high:
            divisors.append(1.0)
        elif wave > length / low:
            divisors.append(factor)
        else:
            smooth = (length / wave - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors)


@pytest.mark.parametrize(
    "metadata", [{}, {"rope.scaling.type": "none"}, {"rope.scaling.factor": 1.0}]
)
def test_nothing_is_scaled_where_the_file_says_so(scaling_of, metadata):
    assert scaling_of(metadata) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        {"rope.scaling.factor": 4.0},
        {"rope.scale_linear": 4.0},
    ],
)
def test_linear_scaling_has_an_older_and_a_newer_key(scaling_of, metadata):
    assert scaling_of(metadata) == {"rope_type": "linear", "factor": 4}


def test_yarn_is_read_with_what_the_file_says(scaling_of):
    metadata = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 32768,
        "rope.scaling.yarn_beta_fast": 16.0,
    }

    assert scaling_of(metadata) == {
        "rope_type": "yarn",
        "factor": 4,
        "original_max_position_embeddings": 32768,
        "beta_fast": 16,
    }


def test_an_attention_factor_of_the_file_multiplies_that_of_yarn(scaling_of):
    metadata = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.attn_factor": 0.5,
    }

    assert scaling_of(metadata)["attention_factor"] == pytest.approx(0.5 * (0.1 * math.log(4) + 1))


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_parameters_of_llama3_are_found_from_its_divisors(scaling_of, size, factor):
    divisors = llama3_divisors(factor, 1.0, 4.0, 8192, size, 500_000.0)

    assert scaling_of({}, divisors) == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def test_other_parameters_give_the_same_divisors_again(scaling_of):
    divisors = llama3_divisors(4.0, 2.0, 5.0, 4096, 128, 100_000.0)

    found = scaling_of({}, divisors, theta=100_000.0)

    values = [found[k] for k in ("factor", "low_freq_factor", "high_freq_factor")]
    length = found["original_max_position_embeddings"]
    again = llama3_divisors(*values, length, 128, 100_000.0)
    np.testing.assert_allclose(again, divisors, rtol=1e-3)


def test_divisors_of_one_scale_nothing(scaling_of):
    assert scaling_of({}, np.ones(32)) is None


def test_divisors_of_another_rule_are_refused(scaling_of):
    with pytest.raises(CheckpointError, match="none that Llama 3's rule gives"):
        scaling_of({}, np.linspace(1, 9, 32))


def test_another_kind_is_named(scaling_of):
    metadata = {"rope.scaling.type": "longrope", "rope.scaling.factor": 4.0}

    with pytest.raises(CheckpointError, match=r"by 'longrope'; supported: none, linear, yarn"):
        scaling_of(metadata)
