"""Facts can be saved, compared and read again as what they were."""

import pytest

from jackfield.discovery.probing.facts import plain_facts


def test_words_numbers_truth_values_and_none_pass():
    facts = {"device": "acme", "cores": 4, "share": 0.5, "fast": True, "driver": None}

    assert plain_facts(facts) == facts


@pytest.mark.parametrize(
    ("facts", "error", "words"),
    [
        ([], TypeError, r"must return a mapping of facts, got \[\]"),
        ({1: 2}, TypeError, "names with text, numbers, truth values or None, got 1: 2"),
        ({"a": [1]}, TypeError, r"got 'a': \[1\]"),
        ({"a": float("nan")}, ValueError, "finite numbers, got 'a': nan"),
        ({"a": float("inf")}, ValueError, "finite numbers, got 'a': inf"),
        ({"a": "z" * 100_000}, ValueError, "at most 65536 bytes of facts, got 100009"),
    ],
)
def test_what_no_file_could_hold_is_refused(facts, error, words):
    with pytest.raises(error, match=words):
        plain_facts(facts)


def test_the_error_about_something_huge_is_short():
    with pytest.raises(TypeError) as caught:
        plain_facts({"a": ["z" * 1_000_000]})

    assert len(str(caught.value)) < 200
