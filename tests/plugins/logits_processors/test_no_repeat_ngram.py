import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import NoRepeatNGramLogitsProcessor

from jackfield import LLM, SamplingParams
from jackfield.errors import RequestError
from jackfield_logits_processors.ngrams import forbid_repeats
from jackfield_testing.models import write_model

VOCAB_SIZE = 6
texts = st.lists(
    st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=24), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=80)
@given(texts, st.integers(1, 5))
def test_bans_are_those_of_transformers(rows, size):
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.int32)
    logits = torch.randn(len(rows), VOCAB_SIZE)

    found = logits.clone()
    forbid_repeats(found, tokens, torch.tensor([len(row) for row in rows]), size, 0)

    processor = NoRepeatNGramLogitsProcessor(size)
    for row, ours, scores in zip(rows, found, logits, strict=True):
        assert torch.equal(ours, processor(torch.tensor([row]), scores[None].clone())[0])


def test_a_window_forgets_what_came_long_ago():
    tokens = torch.tensor([[1, 2, 3, 3, 3, 4, 1]], dtype=torch.int32)
    logits = torch.zeros(2, VOCAB_SIZE)

    forbid_repeats(logits[:1], tokens, torch.tensor([7]), 2, 0)
    forbid_repeats(logits[1:], tokens, torch.tensor([7]), 2, 5)

    assert logits.isinf().tolist() == [[t == 2 for t in range(VOCAB_SIZE)], [False] * VOCAB_SIZE]


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    write_model(folder)
    settings = {"select.weight_format": "dummy", "cache.memory_bytes": 10**7}
    with LLM(str(folder), settings=settings) as llm:
        yield llm


def ask(llm, processors, prompt=(1, 2, 3), **values):
    params = SamplingParams(
        **{
            "logits_processors": processors,
            "max_tokens": 24,
            "temperature": 0,
            "ignore_eos": True,
            **values,
        }
    )
    return list(llm.generate(list(prompt), params)[0].outputs[0].token_ids)


def test_an_answer_has_no_bigram_twice_but_of_tokens_that_may_come(llm):
    wish = {"logit_bias": {65: 50.0, 66: 49.0}}

    tokens = ask(llm, {"no_repeat_ngram": {"size": 2}}, **wish)
    free = ask(llm, {"no_repeat_ngram": {"size": 2, "allowed": [65]}}, **wish)

    assert len({*itertools.pairwise(tokens)}) == len(tokens) - 1
    assert tokens[:3] == [65, 65, 66]
    assert free == [65] * 24


def test_thoughts_end_when_their_budget_is_spent(llm):
    wish = {"logit_bias": {65: 50.0}}
    budget = {"thinking_budget": {"max_tokens": 4, "end": [7, 8]}}

    assert ask(llm, budget, **wish)[:8] == [65, 65, 65, 65, 7, 8, 65, 65]


def test_thoughts_that_have_ended_are_left_alone(llm):
    budget = {"thinking_budget": {"max_tokens": 4, "end": [65]}}

    assert ask(llm, budget, logit_bias={65: 50.0})[:6] == [65] * 6


@pytest.mark.parametrize(
    ("processors", "told"),
    [
        ({"no_repeat_ngrams": {}}, "no processor 'no_repeat_ngrams' serves here; did you mean"),
        ({"no_repeat_ngram": {"sise": 2}}, "unknown argument 'sise'; did you mean 'size'"),
        (
            {"no_repeat_ngram": {"size": "two"}},
            "size must be a whole number of at least 1, got 'two'",
        ),
        ({"thinking_budget": {"max_tokens": 5, "end": []}}, "end must hold token ids"),
        (["no_repeat_ngram"], "logits_processors must map names to arguments"),
    ],
)
def test_what_cannot_be_meant_is_refused(llm, processors, told):
    with pytest.raises(RequestError, match=told):
        ask(llm, processors)
