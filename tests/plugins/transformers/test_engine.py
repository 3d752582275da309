"""An engine chooses the tokens that Transformers' own `generate` chooses, and says by whose code."""

import pytest
import torch
import transformers

from jackfield import LLM, SamplingParams
from jackfield.config import load_config
from jackfield.startup.blueprint import make_blueprint

pytestmark = pytest.mark.cpu_model

SETTINGS = {
    "cache.num_blocks": 64,
    "cache.prefix_caching": True,
    "model.dtype": "float32",
    "plugins.probe": "inline",
    "scheduler.max_step_tokens": 20,
}
PROMPTS = ([*range(7, 47)], [*range(7, 45), 3, 4], [5, 6, 7], [90, 80, 70, 60, 50])
_NEW = 12


def _generated(folder, prompt):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = model.generate(
        torch.tensor([prompt]), max_new_tokens=_NEW, do_sample=False, eos_token_id=None
    )
    return found[0, len(prompt) :].tolist()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("GraniteSWAForCausalLM", {"sliding_window": 7}),
        ("ExaoneMoeForCausalLM", {}),
    ],
)
def test_greedy_tokens_are_those_of_generate(name, changes, make_known, make_folder):
    folder = make_folder(make_known(name, **changes))
    params = SamplingParams(max_tokens=_NEW, temperature=0.0, ignore_eos=True)

    with LLM(str(folder), settings=SETTINGS) as llm:
        first = [list(o.outputs[0].token_ids) for o in llm.generate(list(PROMPTS), params)]
        again = list(llm.generate(list(PROMPTS[:2]), params))

    assert first == [_generated(folder, prompt) for prompt in PROMPTS]
    assert [list(output.outputs[0].token_ids) for output in again] == first[:2]
    assert all(output.metrics.num_cached_tokens for output in again)


def _blueprint(folder, **settings):
    loaded = load_config(
        environ={}, code={"model.reference": str(folder), "plugins.probe": "inline", **settings}
    )
    return make_blueprint(loaded)


def test_the_decision_says_whose_code_runs_and_why(make_known, make_folder):
    folder = make_folder(make_known("BitNetForCausalLM"))

    decision = next(d for d in _blueprint(folder).decisions if d.kind == "models")

    assert decision.chosen == "transformers"
    assert decision.decided_by.startswith("no plugin has a spec of BitNetForCausalLM")
    chosen = next(c for c in decision.candidates if c.name == "transformers")
    assert "the code of Transformers" in chosen.reasons[0].text


def test_a_family_that_has_a_spec_runs_by_it_unless_the_user_names_the_plugin(
    make_known, make_folder
):
    folder = make_folder(make_known("LlamaForCausalLM"))

    assert _blueprint(folder).spec.foreign is None
    assert _blueprint(folder, **{"select.model": "transformers"}).spec.foreign is not None
