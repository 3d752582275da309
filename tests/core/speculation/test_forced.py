"""Drafts of what a grammar leaves no choice of: fewer steps, the same answers."""

import pytest

from jackfield import LLM, SamplingParams
from jackfield_testing.conformance.speculator import SpeculatorKit
from jackfield_testing.engine import REFERENCE_SETTINGS
from jackfield_testing.models import write_model

CHOICES = ["the answer that is written in many tokens", "the answer that is not"]


class TestForced(SpeculatorKit):
    name = "forced"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_forced_tokens_are_confirmed_several_a_step(model, depth, temperature):
    found = []
    for speculation in ({}, {"speculation.num_tokens": 8, "select.speculator": "forced"}):
        settings = {**REFERENCE_SETTINGS, "executor.depth": depth, **speculation}
        with LLM(str(model), settings=settings) as llm:
            params = SamplingParams(
                structured={"choice": CHOICES}, temperature=temperature, seed=3, max_tokens=60
            )
            outputs = llm.generate(["a", "b"], params)
            found.append(([o.outputs[0].text for o in outputs], llm.stats.num_steps))

    (without, num_steps), (with_drafts, num_fewer) = found
    assert with_drafts == without
    assert set(without) <= set(CHOICES)
    assert num_fewer < num_steps / 2
