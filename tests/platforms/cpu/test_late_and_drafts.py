"""Speculation and structured output through the whole engine on the CPU, with tiny random models."""

import shutil

import pytest

from jackfield import LLM, SamplingParams
from jackfield_testing.tokenizer import write_byte_tokenizer

pytestmark = pytest.mark.cpu_model

PROMPTS = [[11, 4, 27, 90, 3, 15, 11, 4, 27], [7, 7, 7, 7], [60, 2, 35, 80, 60, 2]]
SPECULATION = {"speculation.num_tokens": 3, "options.ngram.min_match": 1}


def answers(model, settings, **sampling):
    params = SamplingParams(**{"max_tokens": 30, "ignore_eos": True, **sampling})
    settings = {"cache.block_size": 4, **settings}
    with LLM(str(model.path), dtype="float32", settings=settings) as llm:
        outputs = llm.generate(PROMPTS, params)
        return [list(output.outputs[0].token_ids) for output in outputs], llm.stats.num_steps


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"seed": 3, "top_k": 4}], ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_drafts_change_no_answer(model, depth, sampling):
    plain, many = answers(model, {"executor.depth": depth}, **sampling)
    drafted, few = answers(model, {"executor.depth": depth, **SPECULATION}, **sampling)

    assert drafted == plain
    if depth == 1 and "top_k" not in sampling:  # random texts hardly repeat, greedy ones do
        assert few < many


def test_an_answer_is_one_of_the_choices(tiny_llama, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama.path, folder)
    write_byte_tokenizer(folder)
    choices = ["YES", "NO", "NOT SO"]
    structured = SamplingParams(max_tokens=20, structured={"choice": choices})
    free = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    for settings in ({}, SPECULATION):
        with LLM(str(folder), dtype="float32", settings=settings) as llm:
            told, other = llm.generate([PROMPTS[0], PROMPTS[2]], [structured, free])

            assert told.outputs[0].text in choices
            assert list(other.outputs[0].token_ids) == tiny_llama.greedy(PROMPTS[2], 8)
