"""The platform in NumPy as a stranger gets it: wheels, in an environment where there is no torch."""

import json
import shlex
from pathlib import Path

import pytest
import torch
import transformers

from jackfield import LLM, SamplingParams
from jackfield_testing.tokenizer import VOCAB_SIZE, write_byte_tokenizer

pytestmark = pytest.mark.cpu_model
ROOT = Path(__file__).parents[3]
PACKAGE = "examples/third_party/numpy_platform"
PROMPTS = [list(b"one"), list(range(40, 90)), list(b"a longer one")]
QUESTIONS = ("The capital of France is", "def fibonacci(n):")
ANSWER = f"""
import sys
from jackfield import LLM, SamplingParams

with LLM("model") as llm:  # the only platform that is installed is chosen unasked
    params = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)
    answers = [output.outputs[0].token_ids for output in llm.generate({PROMPTS}, params)]
print([list(answer) for answer in answers])
assert "torch" not in sys.modules
"""
SERVE = """
import asyncio
from jackfield import AsyncLLM, SamplingParams

async def text(llm, prompt, limit):
    said = ""
    async for output in llm.generate(prompt, SamplingParams(max_tokens=200, ignore_eos=True)):
        said = output.outputs[0].token_ids
        if len(said) >= limit:
            break  # the client went away
    return len(said)

async def main():
    async with AsyncLLM("model") as llm:
        print(await asyncio.gather(text(llm, "one", 200), text(llm, "two", 5), text(llm, "six", 200)))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def environment(make_clean_environment):
    environment = make_clean_environment()
    environment.install(ROOT / PACKAGE)
    return environment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds a tiny model in bfloat16, which the platform must upcast."""
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB_SIZE, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "model")
    write_byte_tokenizer(folder / "model")
    return folder


def greedy(folder):
    """What Transformers answers in float32."""
    model = transformers.LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    options = {"max_new_tokens": 16, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    for prompt in PROMPTS:
        (token_ids,) = model.generate(torch.tensor([prompt]), **options).tolist()
        yield token_ids[len(prompt) :]


def test_without_torch_it_answers_as_transformers_do(environment, folder):
    assert "torch" not in environment.run("pip list")

    said = environment.run(f"python -c '{ANSWER}'", folder)

    assert json.loads(said.splitlines()[-1]) == list(greedy(folder))


def test_a_server_can_stream_from_it_and_drop_requests(environment, folder):
    assert environment.run(f"python -c '{SERVE}'", folder).splitlines()[-1] == "[200, 5, 200]"


@pytest.mark.slow
def test_a_real_model_answers_as_it_does_on_torch(environment, tmp_path):
    environment.require("jackfield-gguf", "jackfield-model-packages")
    params = SamplingParams(max_tokens=32, temperature=0.0)
    with LLM("smollm2", dtype="float32", settings={"select.platform": "cpu"}) as llm:
        expected = [output.outputs[0].text for output in llm.generate(list(QUESTIONS), params)]

    said = environment.run(
        "python -m jackfield.cli.main generate smollm2 --json --max-tokens 32 --temperature 0 "
        + " ".join(f"--prompt {shlex.quote(question)}" for question in QUESTIONS),
        tmp_path,
    )

    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [line["text"] for line in lines] == expected


@pytest.mark.thorough
def test_its_own_tests_pass_there(environment, copy_of):
    folder = copy_of(PACKAGE, "tests")

    said = environment.run("pytest -q -p no:cacheprovider", folder)

    assert "passed" in said
