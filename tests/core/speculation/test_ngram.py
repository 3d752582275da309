"""The speculator `ngram`: what it finds, what it leaves, and the kit of its kind."""

import pytest

from jackfield.config import load_config
from jackfield.errors import ConfigError
from jackfield.speculation.ngram import NgramDrafter, NgramSpeculator
from jackfield_testing.conformance.speculator import SpeculatorKit


def propose(token_ids, num_unknown=0, num_tokens=3, *, max_match=3, min_match=2):
    return list(NgramDrafter(max_match, min_match).propose(token_ids, num_unknown, num_tokens))


def test_what_followed_the_last_tokens_before_is_guessed():
    assert propose([1, 2, 3, 4, 5, 9, 1, 2]) == [3, 4, 5]


def test_the_longest_match_counts_then_the_latest():
    assert propose([7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2], num_tokens=1) == [3]
    assert propose([1, 2, 3, 1, 2, 4, 9, 1, 2], num_tokens=1) == [4]


def test_a_text_without_repetition_gives_no_guess():
    assert propose([1, 2, 3, 4, 5]) == []


def test_tokens_that_are_being_computed_are_skipped():
    assert propose([1, 2, 3, 4, 5, 6, 1, 2], num_unknown=2) == [5, 6, 1]


def test_a_repetition_shorter_than_the_guess_goes_on_round_and_round():
    assert propose([1, 2, 1, 2, 1, 2], num_tokens=5) == [1, 2, 1, 2, 1]


def test_a_text_that_grows_is_read_once():
    drafter, text = NgramDrafter(3, 2), [1, 2, 3]
    assert drafter.propose(text, 0, 2) == ()
    text += [9, 1, 2]
    assert list(drafter.propose(text, 0, 2)) == [3, 9]


def test_options_that_make_no_sense_are_refused():
    config = load_config(
        environ={}, code={"options.ngram.min_match": 4, "options.ngram.max_match": 3}
    ).config

    with pytest.raises(ConfigError, match="min_match must be from 1 to max_match"):
        NgramSpeculator().create(config)


class TestConformance(SpeculatorKit):
    name = "ngram"
