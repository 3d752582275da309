"""The whole engine on the CPU, over paged blocks and steps of several requests, gives the probabilities of Transformers."""

from pathlib import Path

import pytest
import torch

from jackfield import LLM, SamplingParams
from jackfield.errors import SelectionError

pytestmark = pytest.mark.cpu_model
TOLERANCE = 2e-4  # relative to the largest logit; a log probability holds two of them
HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
VOCAB_SIZE = 96
SETTINGS = {
    "cache.block_size": 4,
    "cache.num_blocks": 64,
    "cache.prefix_caching": False,
    "scheduler.max_step_tokens": 20,  # every prompt is cut, and steps mix rows
    "model.dtype": "float32",
    "model.max_length": 48,
}


MODELS = [
    "models.StableLmForCausalLM=custom_model:stablelm",
    "models.GraniteSWAForCausalLM=granite_swa:granite_swa",
]
# Attention sinks are computed by nothing of ours, but by a package by others.
ONLINE = (
    "jackfield_torch.attention_backends.acme_online=jackfield_acme_attention.backend:OnlineBackend"
)


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    for folder in (HERE, EXAMPLES, EXAMPLES / "third_party" / "attention_backend"):
        monkeypatch.syspath_prepend(folder)


@pytest.fixture
def llm(oracle):
    with LLM(str(oracle.folder), settings=SETTINGS, plugins=[*MODELS, ONLINE]) as llm:
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


def test_sinks_that_no_backend_serves_are_refused_by_name(make_oracle):
    folder = str(make_oracle("granite_swa").folder)

    with pytest.raises(
        SelectionError, match=r"torch_sdpa[^\n]*\n +does not serve attention\.sinks"
    ):
        LLM(folder, settings=SETTINGS, plugins=MODELS)


def test_the_backend_that_serves_sinks_is_chosen_for_them_and_for_nothing_else(make_oracle):
    for name, chosen in {"granite_swa": "acme_online", "mistral": "torch_sdpa"}.items():
        folder = str(make_oracle(name).folder)
        settings = {**SETTINGS, "plugins.deny": ["jackfield-cpu-paged"]}
        with LLM(folder, settings=settings, plugins=[*MODELS, ONLINE]) as llm:
            found = {d.chosen for d in llm.decisions if d.kind.endswith("attention_backends")}
        assert found == {chosen}
