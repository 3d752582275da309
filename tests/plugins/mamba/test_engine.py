"""Forks of a hybrid are those of separate states; tests/whole/test_kinds.py crowds its requests."""

import pytest

from jackfield.sampling import SamplingParams
from jackfield_testing_torch.conformance.known_model import transformers_model, write_known_model
from jackfield_testing_torch.conformance.model_runs import open_engine

pytestmark = pytest.mark.cpu_model

CONFIG = {
    "num_hidden_layers": 2, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 2, "mamba_d_state": 12,
    "mamba_d_ssm": 128, "pad_token_id": 0,
}  # fmt: skip
SYSTEM = [7 * i % 90 for i in range(20)]
PROMPTS = [[*SYSTEM, *range(start, start + 7)] for start in (1, 20, 40, 60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("falcon_h1")
    write_known_model(transformers_model("FalconH1ForCausalLM", CONFIG), path)
    return path


def answers(folder, params, **settings):
    with open_engine(folder, (), {"cache.block_size": 4, **settings}) as llm:
        found = [[o.token_ids for o in r.outputs] for r in llm.generate(PROMPTS, params)]
        again = [[o.token_ids for o in r.outputs] for r in llm.generate(PROMPTS, params)]
        return found, again


def test_samples_of_one_prompt_are_those_of_separate_states(folder):
    params = SamplingParams(max_tokens=9, temperature=1.0, seed=5, n=3, ignore_eos=True)
    plain, _ = answers(folder, params, **{"cache.num_blocks": 800})

    forked, again = answers(
        folder, params, **{"cache.num_blocks": 800, "cache.prefix_caching": True}
    )

    assert forked == again == plain
