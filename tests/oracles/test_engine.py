"""The whole engine on the CPU, over paged blocks and steps of several requests, gives the probabilities of Transformers."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

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
# A backend by others, which serves sinks too.
ONLINE = (
    "jackfield_torch.attention_backends.acme_online=jackfield_acme_attention.backend:OnlineBackend"
)


@pytest.fixture(autouse=True)
def _path(monkeypatch, models_of_files):
    monkeypatch.syspath_prepend(EXAMPLES / "third_party" / "attention_backend")


@pytest.fixture
def llm(oracle, models_of_files):
    with LLM(str(oracle.folder), settings=SETTINGS, plugins=models_of_files) as llm:
        yield llm


def test_an_engine_over_paged_blocks_gives_the_probabilities_of_transformers(oracle, llm):
    prompt = oracle.token_ids.tolist()[:-1]  # one token is drawn
    params = SamplingParams(max_tokens=1, prompt_logprobs=VOCAB_SIZE, temperature=0.0)

    shorter = [] if oracle.spec.unscaled_length else [prompt[:30], prompt[:9]]

    outputs = llm.generate([prompt, *shorter], params)

    expected_TV = oracle.logits.log_softmax(-1)
    for output in outputs:
        found = [entry for entry in output.prompt_logprobs if entry is not None]
        assert len(found) == len(output.prompt_token_ids) - 1
        for position, entry in enumerate(found):
            found_V = torch.tensor(entry.top_logprobs)
            difference = (found_V - expected_TV[position, list(entry.top_ids)]).abs().max()
            assert difference < TOLERANCE * oracle.logits.abs().max()


@pytest.mark.xfail(
    strict=False,
    reason="Transformers scales by the longest text that the model has seen since, we by max_length",
)
def test_requests_within_the_original_length_of_dynamic_ropes_run_unscaled(make_oracle):
    """Beside long ones of the same beginning, whose blocks they do not share."""
    folder = make_oracle("llama_dynamic").folder  # the original length is 16
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = make_oracle("llama_dynamic").token_ids.tolist()
    # Of prompts and outputs; the last one goes one token beyond, so it shares blocks with the first.
    lengths = {47: 1, 12: 5, 8: 9, 9: 1, 13: 5}

    with LLM(str(folder), settings={**SETTINGS, "cache.prefix_caching": True}) as llm:
        params = [
            SamplingParams(max_tokens=n, logprobs=0, temperature=0.0, ignore_eos=True)
            for n in lengths.values()
        ]
        outputs = llm.generate([ids[:length] for length in lengths], params)
        again = llm.generate([ids[:12]], params[1])[0]

    assert [output.metrics.num_cached_tokens for output in outputs[1:]] == [0, 0, 0, 12]
    assert again.metrics.num_cached_tokens == 11  # all but the last token
    for output in (*outputs[:4], again):
        whole = [*output.prompt_token_ids, *output.outputs[0].token_ids]
        with torch.no_grad():
            logits_TV = model(torch.tensor([whole[:-1]])).logits[0].log_softmax(-1)
        for number, found in enumerate(output.outputs[0].logprobs):
            position = len(output.prompt_token_ids) - 1 + number
            assert found.token_id == logits_TV[position].argmax()
            assert abs(found.logprob - logits_TV[position].max()) < 1e-3


@pytest.mark.parametrize("backend", ["torch_sdpa", "acme_online"])
def test_sinks_are_served_by_ours_and_by_a_package_by_others(make_oracle, models_of_files, backend):
    oracle = make_oracle("granite_swa")
    settings = {**SETTINGS, "select.attention": backend}
    prompt = oracle.token_ids.tolist()[:-1]

    with LLM(str(oracle.folder), settings=settings, plugins=[*models_of_files, ONLINE]) as llm:
        (output,) = llm.generate([prompt], SamplingParams(max_tokens=1, temperature=0.0))

    assert output.outputs[0].token_ids[0] == int(oracle.logits[-2].argmax())
