"""A model family as a stranger gets it: a wheel beside ours, in an environment with none of our sources."""

from pathlib import Path

import pytest
import torch
import transformers

pytestmark = pytest.mark.cpu_model
ROOT = Path(__file__).parents[3]
PACKAGE = "examples/third_party/model_family"
PROMPT = list(range(20, 50))
ANSWER = f"""
from jackfield import LLM, SamplingParams

with LLM("model", dtype="float32") as llm:  # the architecture in config.json chooses the family
    params = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
    (output,) = llm.generate([{PROMPT}], params)
print(list(output.outputs[0].token_ids))
"""


@pytest.fixture(scope="module")
def environment(make_clean_environment):
    environment = make_clean_environment()
    environment.install(ROOT / PACKAGE)
    return environment


def test_a_model_of_the_family_answers_as_transformers_do(environment, tmp_path):
    torch.manual_seed(2)
    config = transformers.Starcoder2Config(
        vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, initializer_range=0.2, sliding_window=9, bos_token_id=1, eos_token_id=5,
    )  # fmt: skip
    model = transformers.Starcoder2ForCausalLM(config)
    model.save_pretrained(tmp_path / "model")
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    (expected,) = model.generate(torch.tensor([PROMPT]), **options).tolist()

    said = environment.run(f"python -c '{ANSWER}'", tmp_path)

    assert said.splitlines()[-1] == str(expected[len(PROMPT) :])


@pytest.mark.thorough
def test_its_own_tests_pass_there(environment, copy_of):
    said = environment.run("pytest -q -p no:cacheprovider", copy_of(PACKAGE, "tests"))

    (line,) = (line for line in said.splitlines() if line.startswith("jackfield.models:Starcoder2"))
    assert "0 skipped, 0 expected failures, 0 failed" in line
