"""Each way of choosing a token does what its name says, on logits that are easy to check by hand."""

import math

import numpy as np
import pytest
from jackfield.sampling import SamplingParams
from jackfield.step import NewRow

from jackfield_acme_numpy.logprobs import token_logprobs
from jackfield_acme_numpy.sampler import SamplingRow, draw_tokens

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))
MANY = 400


def row(seed=0, prompt=(), output=(), mask=None, end_token_ids=(), **params):
    request = NewRow(
        row=0, token_ids=(*prompt, *output), num_prompt_tokens=len(prompt), num_computed=0, block_ids=(),
        sampling=SamplingParams(**params), seed=seed, end_token_ids=end_token_ids,
    )  # fmt: skip
    return SamplingRow(request, np.array(prompt, int), np.array(output, int), mask)


def draw(*rows, logits=LOGITS):
    token_ids, is_valid = draw_tokens(np.tile(logits, (len(rows), 1)), rows)
    assert is_valid.all()
    return token_ids.tolist()


def shares(**params):
    """How often each token is drawn by rows of many seeds."""
    drawn = draw(*(row(seed=seed, **params) for seed in range(MANY)))
    return np.bincount(drawn, minlength=len(LOGITS)) / MANY


def test_tokens_are_drawn_as_often_as_they_are_likely():
    assert shares() == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.08)


def test_a_low_temperature_sharpens():
    assert shares(temperature=0.5)[0] == pytest.approx(0.25 / 0.345, abs=0.08)


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_p": 0.76}, {0, 1, 2}),
        ({"top_p": 0.74}, {0, 1}),
        ({"min_p": 0.29}, {0, 1, 2}),
        ({"top_k": 2, "top_p": 0.6}, {0}),  # of what top_k left, the first is 2/3
        ({"top_k": 100, "top_p": 1.0, "min_p": 0.0}, {0, 1, 2, 3}),
    ],
)
def test_a_filter_keeps_the_most_likely(params, kept):
    assert set(np.flatnonzero(shares(**params))) == kept


def test_a_row_draws_the_same_whatever_is_drawn_beside_it():
    mine = row(seed=3, prompt=[1], output=[0, 2])
    others = [row(temperature=0.0), row(seed=4, top_k=1), row(seed=5, top_p=0.5)]

    assert draw(mine, *others)[0] == draw(*others, mine)[-1] == draw(mine)[0]


def test_the_places_of_one_output_have_numbers_of_their_own():
    rows = [row(seed=3, output=[0] * length) for length in range(MANY)]

    assert np.bincount(draw(*rows))[0] / MANY == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("given", "token_id"),
    [
        ({}, 0),
        ({"logit_bias": {3: 5.0, 99: 1.0}}, 3),  # there is no token 99
        ({"presence_penalty": 1.0, "output": [0]}, 1),
        ({"presence_penalty": 1.0, "prompt": [0]}, 0),  # over the output alone
        ({"frequency_penalty": 0.4, "output": [0, 0]}, 1),
        ({"frequency_penalty": 0.3, "output": [0]}, 0),
        ({"repetition_penalty": 3.0, "prompt": [0]}, 1),  # logits below zero are multiplied
        ({"min_tokens": 2, "end_token_ids": (0, 99), "output": [3]}, 1),
        ({"min_tokens": 2, "stop_token_ids": (0,), "output": [3]}, 1),
        ({"min_tokens": 1, "end_token_ids": (0,), "output": [3]}, 0),
        ({"mask": bytes([0b1100])}, 2),
    ],
)
def test_an_edit_moves_the_most_likely_token(given, token_id):
    assert draw(row(temperature=0.0, **given)) == [token_id]


@pytest.mark.parametrize("logits", [[math.nan, 1, 2, 3], [-math.inf] * 4, [math.inf, 0, 0, 0]])
def test_a_row_without_a_finite_best_logit_is_told_and_spares_the_others(logits):
    both = np.array([logits, LOGITS], np.float32)

    token_ids, is_valid = draw_tokens(both, [row(), row(temperature=0.0)])

    assert (is_valid.tolist(), token_ids[1]) == ([False, True], 0)


def test_log_probabilities_are_normalised_and_ranked():
    (entry,) = token_logprobs(LOGITS[None] + 7, np.array([2]), 2)

    assert (entry.token_id, entry.rank, entry.top_ids) == (2, 3, (0, 1))
    assert np.exp([entry.logprob, *entry.top_logprobs]) == pytest.approx([0.15, 0.5, 0.25])
