"""Architectures without a spec give the logits of Transformers, whole and cut into steps."""

import pytest
import torch

from jackfield.interfaces.model import ConfigReader
from jackfield_llama.model import llama
from jackfield_testing_torch.conformance.known_model import MemoryCheckpoint, random_text
from jackfield_testing_torch.conformance.model_runs import decode

pytestmark = pytest.mark.cpu_model

# what each shows beside the ones before
FAMILIES = {
    "BitNetForCausalLM": {},  # norms inside attention and feed-forward
    "ApertusForCausalLM": {},  # an activation with parameters of its own
    "DiffLlamaForCausalLM": {},  # attends twice in a layer
    "GraniteSWAForCausalLM": {"sliding_window": 7},  # sinks, windows
    "VaultGemmaForCausalLM": {"sliding_window": 7},  # capped scores
    "ExaoneMoeForCausalLM": {},  # experts that are stacked while loading
    "GraniteMoeSWAForCausalLM": {"sliding_window": 7},  # experts, sinks
    "AfmoeForCausalLM": {},  # attention with a gate
    "Starcoder2ForCausalLM": {},
}
_CHUNKS = (17, 1, 1, 1, 20, 8)


def _off(found, exact):
    return float((found - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_transformers_whole_and_in_chunks(name, make_known, make_spec):
    model = make_known(name, **FAMILIES[name])
    ids_T = random_text(int(model.config["vocab_size"]))
    exact_TV = model.logits(ids_T)
    spec = make_spec(model.config)

    whole_TV, cut_TV = (decode(spec, MemoryCheckpoint(model), ids_T, c) for c in ((), _CHUNKS))

    assert _off(whole_TV, exact_TV) < 1e-5
    assert _off(cut_TV, exact_TV) < 1e-5


def test_a_family_that_has_a_spec_gives_the_logits_of_that(make_known, make_spec):
    model = make_known("LlamaForCausalLM", tie_word_embeddings=True)
    ids_T = random_text(96)
    specs = llama(ConfigReader(model.config)), make_spec(model.config)

    ours_TV, theirs_TV = (decode(spec, MemoryCheckpoint(model), ids_T) for spec in specs)

    assert _off(theirs_TV, ours_TV) < 1e-5


def test_half_precision_stays_near(make_known, make_spec):
    model = make_known("BitNetForCausalLM")
    spec = make_spec({**model.config, "dtype": "bfloat16"})

    assert spec.dtype.name == "bfloat16"
    assert torch.isfinite(decode(spec, MemoryCheckpoint(model), random_text(96))).all()
