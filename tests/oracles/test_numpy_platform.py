"""The third-party platform in NumPy gives the probabilities of Transformers, or says what of a model it lacks."""

from pathlib import Path

import pytest
import torch

from jackfield import LLM, SamplingParams
from jackfield.errors import SelectionError

pytestmark = pytest.mark.cpu_model
TOLERANCE = 2e-4  # relative to the largest logit; a log probability holds two of them
EXAMPLES = Path(__file__).parents[2] / "examples"
PLUGINS = [
    "platforms.numpy=jackfield_acme_numpy.platform:NumpyPlatform",
    "models.StableLmForCausalLM=custom_model:stablelm",
    "models.GraniteSWAForCausalLM=granite_swa:granite_swa",
    "models.ExaoneMoeForCausalLM=custom_experts:exaone_moe",
]
VOCAB_SIZE = 96
SETTINGS = {
    "select.platform": "numpy",
    "cache.block_size": 4,
    "cache.num_blocks": 64,
    "cache.prefix_caching": False,
    "scheduler.max_step_tokens": 20,  # every prompt is cut, and steps mix rows
    "model.max_length": 48,
}
REFUSED = {
    "llama_gelu": "feed_forward.activation=gelu",
    "llama_relu": "feed_forward.activation=relu",
    "llama_relu2": "feed_forward.activation=relu_squared",
    "llama_dynamic": "rope_scaling.kind=dynamic",
    "llama_yarn": "rope_scaling.kind=yarn",
    "llama_yarn_ramp": "rope_scaling.truncate",
    "llama_yarn_mscale": "rope_scaling.mscale",
    "gpt2": "model.learned_positions",
    "gpt2_layer_scales": "model.learned_positions",
    "stablelm": "norm.kind=layer",
    "granite_swa": "attention.sinks",
    "exaone_moe": "layer.feed_forward=experts",
}


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.syspath_prepend(EXAMPLES / "third_party" / "numpy_platform")


@pytest.fixture
def name(request):
    return request.node.callspec.params["oracle"]


def test_the_probabilities_are_those_of_transformers(oracle, name):
    if name in REFUSED:
        with pytest.raises(SelectionError, match=REFUSED[name]):
            LLM(str(oracle.folder), settings=SETTINGS, plugins=PLUGINS)
        return
    prompt = oracle.token_ids.tolist()[:-1]  # one token is drawn
    params = SamplingParams(max_tokens=1, prompt_logprobs=VOCAB_SIZE, temperature=0.0)

    with LLM(str(oracle.folder), settings=SETTINGS, plugins=PLUGINS) as llm:
        outputs = llm.generate([prompt, prompt[:30], prompt[:9]], params)

    expected_TV = oracle.logits.log_softmax(-1)
    for output in outputs:
        found = [entry for entry in output.prompt_logprobs if entry is not None]
        assert len(found) == len(output.prompt_token_ids) - 1
        for position, entry in enumerate(found):
            found_V = torch.tensor(entry.top_logprobs)
            difference = (found_V - expected_TV[position, list(entry.top_ids)]).abs().max()
            assert difference < TOLERANCE * oracle.logits.abs().max()
