"""The whole engine on an NVIDIA card, recorded steps and Triton's kernels included, gives the probabilities of Transformers."""

import pytest
import torch

from jackfield import LLM, SamplingParams

pytestmark = pytest.mark.gpu
TOLERANCE = 4e-4  # relative to the largest logit; a log probability holds two of them
VOCAB_SIZE = 96
SETTINGS = {
    "select.platform": "cuda",
    "cache.num_blocks": 64,
    "cache.prefix_caching": False,
    "scheduler.max_step_tokens": 20,  # every prompt is cut, and steps mix rows
    "scheduler.max_rows": 8,
    "model.dtype": "float32",
    "model.max_length": 48,
}


@pytest.fixture
def llm(oracle, models_of_files):
    with LLM(str(oracle.folder), settings=SETTINGS, plugins=models_of_files) as llm:
        yield llm


def test_prompts_have_the_probabilities_of_transformers(oracle, llm):
    prompt = oracle.token_ids.tolist()[:-1]  # one token is drawn
    params = SamplingParams(max_tokens=1, prompt_logprobs=VOCAB_SIZE, temperature=0.0)

    prompts = [prompt, prompt[:30], prompt[:9]]
    if (
        oracle.spec.unscaled_length is not None
    ):  # the scaling of all positions depends on the length
        prompts = prompts[:1]
    outputs = llm.generate(prompts, params)

    expected_TV = oracle.logits.log_softmax(-1)
    for output in outputs:
        found = [entry for entry in output.prompt_logprobs if entry is not None]
        for position, entry in enumerate(found):
            found_V = torch.tensor(entry.top_logprobs)
            difference = (found_V - expected_TV[position, list(entry.top_ids)]).abs().max()
            assert difference < TOLERANCE * oracle.logits.abs().max()


def test_recorded_steps_continue_as_prompts_are_scored(oracle, llm):
    prompts = [oracle.token_ids.tolist()[:size] for size in (5, 9, 14)]
    params = SamplingParams(max_tokens=20, temperature=0.0, ignore_eos=True, logprobs=2)

    outputs = llm.generate(prompts, params)

    scoring = SamplingParams(max_tokens=1, prompt_logprobs=1, temperature=0.0, ignore_eos=True)
    for prompt, output in zip(prompts, outputs, strict=True):
        drawn = output.outputs[0]
        (scored,) = llm.generate([[*prompt, *drawn.token_ids]], scoring)
        for step, entry in zip(drawn.logprobs, scored.prompt_logprobs[len(prompt) :], strict=True):
            assert entry.top_logprobs[0] - entry.logprob < 1e-3  # a greedy token, or as good as one
            assert abs(step.logprob - entry.logprob) < 1e-3


def test_steps_that_are_recorded_and_those_that_are_not_draw_the_same(oracle, models_of_files):
    prompts = [oracle.token_ids.tolist()[:size] for size in (3, 7, 12, 9, 5)]
    params = SamplingParams(max_tokens=16, temperature=0.8, seed=3, ignore_eos=True)
    found = []
    for graphs in (True, False):
        settings = {**SETTINGS, "options.cuda.graphs": graphs}
        with LLM(str(oracle.folder), settings=settings, plugins=models_of_files) as llm:
            found.append([out.outputs[0].token_ids for out in llm.generate(prompts, params)])

    assert found[0] == found[1]
