"""An attention backend as a stranger gets it: a wheel beside ours, in an environment with none of our sources."""

import json
from pathlib import Path

import pytest
import torch
import transformers

pytestmark = pytest.mark.cpu_model
ROOT = Path(__file__).parents[3]
PACKAGE = "examples/third_party/attention_backend"
PROMPTS = [list(range(20, 50)), list(range(3, 9))]
ANSWER = f"""
from jackfield import LLM, SamplingParams

settings = {{"select.attention": "acme_online", "scheduler.max_step_tokens": 16}}  # in chunks
with LLM("model", dtype="float32", settings=settings) as llm:
    params = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
    outputs = llm.generate({PROMPTS}, params)
    print([list(output.outputs[0].token_ids) for output in outputs])
"""


@pytest.fixture(scope="module")
def environment(make_clean_environment):
    environment = make_clean_environment()
    environment.install(ROOT / PACKAGE)
    return environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    transformers.LlamaForCausalLM(config).save_pretrained(folder / "model")
    return folder


def greedy(folder):
    model = transformers.LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    for prompt in PROMPTS:
        (token_ids,) = model.generate(torch.tensor([prompt]), **options).tolist()
        yield token_ids[len(prompt) :]


def test_an_engine_that_attends_with_it_answers_as_transformers_do(environment, folder):
    said = environment.run(f"python -c '{ANSWER}'", folder)

    assert json.loads(said.splitlines()[-1]) == list(greedy(folder))


def test_explain_offers_it_after_our_own_and_takes_it_where_it_is_named(environment, folder):
    explain = "python -m jackfield.cli.main explain model"

    unasked = environment.run(explain, folder)
    named = environment.run(f"{explain} --set select.attention=acme_online", folder)

    assert "accepted     acme_online [jackfield-acme-attention 0.1.0]" in unasked
    assert (
        "attention_backends for layers 0-1: acme_online (command line: select.attention)" in named
    )


@pytest.mark.thorough
def test_its_own_tests_pass_there(environment, copy_of):
    said = environment.run("pytest -q -p no:cacheprovider", copy_of(PACKAGE, "tests"))

    (line,) = (line for line in said.splitlines() if "attention_backends:acme_online" in line)
    assert "0 expected failures, 0 failed" in line
