import pytest

from jackfield.request import FinishReason
from jackfield.sampling import SamplingParams
from jackfield_testing.models import tiny_spec
from jackfield_testing.oracle import reference_answer, reference_tokens
from jackfield_testing.tokenizer import ByteTokenizer

SPEC = tiny_spec()
PROMPT = [1, 2, 3]


def params(**values):
    return SamplingParams(**{"temperature": 0, "max_tokens": 12, "ignore_eos": True, **values})


def test_every_token_depends_on_the_whole_prompt():
    answers = [
        tuple(reference_tokens([*first, *[9] * 20], params(), SPEC)) for first in ([1], [2], [3])
    ]

    assert len(set(answers)) == 3


def test_beyond_a_window_the_past_still_counts_through_what_was_cached():
    spec = tiny_spec(windows=(4,))

    answers = [tuple(reference_tokens([first, *[9] * 20], params(), spec)) for first in (1, 2)]

    assert answers[0] != answers[1]


def test_a_window_changes_the_answer():
    prompt = [1] * 10

    assert reference_tokens(prompt, params(), tiny_spec(windows=(4,))) != reference_tokens(
        prompt, params(), SPEC
    )


def test_seeds_differ_only_with_a_temperature():
    def answers(temperature):
        sampling = params(temperature=temperature)
        return {tuple(reference_tokens(PROMPT, sampling, SPEC, seed=seed)) for seed in range(5)}

    assert (len(answers(0)), len(answers(1.0))) == (1, 5)


def test_top_k_of_one_is_greedy():
    hot = reference_tokens(PROMPT, params(temperature=1.0, top_k=1), SPEC, seed=3)

    assert hot == reference_tokens(PROMPT, params(), SPEC)


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
def test_a_penalty_changes_the_answer(name):
    assert reference_tokens(PROMPT, params(**{name: 1.5}), SPEC) != reference_tokens(
        PROMPT, params(), SPEC
    )


def test_a_large_bias_forces_its_token():
    assert reference_tokens(PROMPT, params(logit_bias={65: 100.0}), SPEC) == [65] * 12


def test_a_very_negative_bias_forbids_its_token():
    first = reference_tokens(PROMPT, params(), SPEC)[0]

    assert first not in reference_tokens(PROMPT, params(logit_bias={first: -100.0}), SPEC)


def test_end_tokens_are_forbidden_before_min_tokens():
    sampling = params(ignore_eos=False, logit_bias={256: 100.0}, min_tokens=3)

    answer = reference_answer(PROMPT, sampling, SPEC)

    assert len(answer.token_ids) == 4
    assert answer.token_ids[-1] == 256
    assert answer.finish_reason is FinishReason.STOP


def test_it_ends_at_the_length_of_the_model():
    answer = reference_answer(PROMPT, params(max_tokens=None), SPEC, max_length=10)

    assert (len(answer.token_ids), answer.finish_reason) == (7, FinishReason.LENGTH)


def test_it_ends_with_a_stop_string():
    prompt = [257, *b"one two three"]

    answer = reference_answer(
        prompt, params(stop="wo"), SPEC, echo_token_id=257, decode=ByteTokenizer().decode
    )

    assert bytes(answer.token_ids) == b"one two"
    assert answer.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty", "repetition_penalty"])
def test_a_large_penalty_lets_no_token_come_twice(name):
    sampling = SamplingParams(
        temperature=0, max_tokens=40, ignore_eos=True, logit_bias={7: 100.0}, **{name: 100.0}
    )

    tokens = reference_tokens((1, 2, 3), sampling, tiny_spec())

    assert tokens[0] == 7
    assert len(set(tokens)) == len(tokens)
