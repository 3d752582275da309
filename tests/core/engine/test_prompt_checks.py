"""A prompt that is far too long is refused without being encoded whole; one that fits never is."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jackfield.engine.prompt_checks import check_text_length, encode_end
from jackfield.errors import RequestError


class Words:
    """A token is a run of one character; keeps count of what it was given to encode."""

    def __init__(self):
        self.num_characters = 0

    def encode(self, text):
        self.num_characters += len(text)
        return [ord(character) for character, _ in groupby(text)]


def test_a_text_of_50_mb_is_refused_by_its_first_part():
    words = Words()

    with pytest.raises(
        RequestError, match=r"^the prompt has more than 100 tokens.*model.max_length"
    ):
        check_text_length(words.encode, "ab" * 25_000_000, 100)
    assert words.num_characters < 100_000


@given(st.integers(1, 300_000), st.integers(1, 40))
def test_a_text_that_fits_is_not_refused_however_long_its_tokens_are(length, num_tokens):
    text = "".join("ab"[number % 2] * (length // num_tokens + 1) for number in range(num_tokens))

    check_text_length(Words().encode, text, num_tokens)


def test_the_end_of_a_text_is_encoded_alone():
    words = Words()
    text = "a" * 999_999 + "bc" * 200_000

    assert encode_end(words.encode, text, 3) == [ord(c) for c in "cbc"]
    assert words.num_characters < 100_000
    assert encode_end(words.encode, "abab", 3) == [ord(c) for c in "bab"]
