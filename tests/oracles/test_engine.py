"""The whole engine on the CPU, over paged blocks and steps of several requests, gives the probabilities of Transformers."""

from pathlib import Path

import pytest
import torch

from jackfield import LLM, SamplingParams

pytestmark = pytest.mark.cpu_model
TOLERANCE = 2e-4  # relative to the largest logit; a log probability holds two of them
EXAMPLES = Path(__file__).parents[2] / "examples"
VOCAB_SIZE = 96
SETTINGS = {
    "cache.block_size": 4,
    "cache.num_blocks": 64,
    "cache.prefix_caching": False,
    "scheduler.max_step_tokens": 20,  # every prompt is cut, and steps mix rows
    "model.dtype": "float32",
    "model.max_length": 48,
}


@pytest.fixture
def llm(oracle, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    plugins = ["models.StableLmForCausalLM=custom_model:stablelm"]
    with LLM(str(oracle.folder), settings=SETTINGS, plugins=plugins) as llm:
        yield llm


def test_an_engine_over_paged_blocks_gives_the_probabilities_of_transformers(oracle, llm):
    prompt = oracle.token_ids.tolist()[:-1]  # one token is drawn
    params = SamplingParams(max_tokens=1, prompt_logprobs=VOCAB_SIZE, temperature=0.0)

    outputs = llm.generate([prompt, prompt[:30], prompt[:9]], params)

    expected_TV = oracle.logits.log_softmax(-1)
    for output in outputs:
        found = [entry for entry in output.prompt_logprobs if entry is not None]
        assert len(found) == len(output.prompt_token_ids) - 1
        for position, entry in enumerate(found):
            found_V = torch.tensor(entry.top_logprobs)
            difference = (found_V - expected_TV[position, list(entry.top_ids)]).abs().max()
            assert difference < TOLERANCE * oracle.logits.abs().max()
