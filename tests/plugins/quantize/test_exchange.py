"""Transformers reads what was made, with its own loaders; tools/exchange.py asks more tools for more formats."""

from importlib import metadata

import pytest
import torch
import transformers

from jackfield import LLM, SamplingParams

pytestmark = pytest.mark.cpu_model

TOKENS = [*range(40, 70)]
CASES = {  # words of the command, what Transformers needs beside itself
    "fp8 in blocks": (("fp8", "--format", "fp8"), None),
    "int8": (("int8",), "compressed-tensors"),
    "gptq": (("gptq", "--format", "compressed-tensors"), "compressed-tensors"),
    "nf4": (("nf4",), "bitsandbytes"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("default")  # of the libraries
def test_transformers_gives_the_probabilities_of_our_engine(model_of, quantize, tmp_path, name):
    words, library = CASES[name]
    if library and not any(metadata.distributions(name=library)):
        pytest.skip(f"{library} is not installed")
    quantize(model_of("llama"), tmp_path / "out", "--scheme", *words)

    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype=torch.float32
    )
    if library is None:  # without a card it makes bfloat16 of blocks of float8
        theirs = theirs.float()
    with torch.no_grad():
        logits = theirs(torch.tensor([TOKENS])).logits[0].float().log_softmax(-1)
    expected = logits[:-1].gather(1, torch.tensor(TOKENS[1:]).unsqueeze(1)).squeeze(1)

    with LLM(str(tmp_path / "out"), dtype="float32", settings={"model.max_length": 64}) as llm:
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
        (output,) = llm.generate([TOKENS], params)
    found = torch.tensor([entry.logprob for entry in output.prompt_logprobs[1:]])
    assert (found - expected).abs().mean() < 0.15  # of rounded inputs, or of bfloat16
