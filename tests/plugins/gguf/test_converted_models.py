"""Experts, latent attention and states out of GGUF give the logits of the checkpoint that they were converted from."""

from pathlib import Path
from runpy import run_path

import pytest
import torch

from jackfield.sampling import SamplingParams
from jackfield_testing_torch.conformance.known_model import random_text, transformers_model
from jackfield_testing_torch.conformance.model_runs import open_engine

pytestmark = pytest.mark.cpu_model
converted = run_path(str(Path(__file__).with_name("converted_models.py")))


@pytest.fixture(scope="module")
def make_known():
    """Each model once."""
    made = {}

    def make(case):
        if case not in made:
            made[case] = transformers_model(*converted["CASES"][case])
        return made[case]

    return make


def logits(path, **settings):
    """logits_TV of a text, as log probabilities."""
    with open_engine(path, (), settings) as llm:
        params = SamplingParams(max_tokens=1, prompt_logprobs=96, temperature=0.0)
        (output,) = llm.generate([random_text(96).tolist()[:40]], params)
    found = torch.empty(39, 96)
    for row, entry in zip(found, output.prompt_logprobs[1:], strict=True):
        row[list(entry.top_ids)] = torch.tensor(entry.top_logprobs)
    return found


@pytest.mark.parametrize("case", converted["CASES"])
def test_logits_are_those_of_the_original(make_known, tmp_path, case):
    known = make_known(case)
    path = converted["write_model"](tmp_path / "model.gguf", case.partition(" ")[0], known)

    found = logits(path)

    expected = known.logits(random_text(96)[:39])
    difference = (found - expected.log_softmax(-1)).abs().max()
    assert difference < 2e-4 * expected.abs().max()


@pytest.mark.parametrize(("case", "kind"), [("qwen3moe", "Q8_0"), ("gpt-oss", "MXFP4")])
def test_experts_stay_in_their_blocks(make_known, tmp_path, case, kind):
    path = converted["write_model"](tmp_path / "model.gguf", case, make_known(case), kind)
    expected = logits(path)  # of what the library makes of the blocks

    found = logits(path, **{"select.quantization": "gguf_blocks"})

    assert (found - expected).abs().max() < 2e-4 * expected.abs().max()
