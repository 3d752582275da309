"""Models that Transformers' own code computes on several ranks, as their own plan shares them out."""

import pytest
import torch

from jackfield import LLM, SamplingParams
from jackfield.errors import UnsupportedModelError
from jackfield.interfaces.model import ConfigReader
from jackfield_testing_torch.conformance.known_model import (
    MemoryCheckpoint,
    transformers_model,
    write_known_model,
)
from jackfield_torch.decoder import assemble_decoder
from jackfield_torch.foreign import shown_checkpoint
from jackfield_torch.load_context import LoadContext
from jackfield_torch.loader import CheckpointWeights
from jackfield_torch.tensor_parallel import SingleRank
from jackfield_torch.unquantized import UnquantizedScheme
from jackfield_transformers.model import any_decoder

pytestmark = pytest.mark.distributed
SETTINGS = {
    "cache.num_blocks": 64,
    "executor.tensor_parallel": 2,
    "model.dtype": "float32",
    "plugins.probe": "inline",
    "scheduler.max_step_tokens": 20,
}
PROMPTS = [[*range(7, 47)], [5, 6, 7], [90, 80, 70, 60, 50]]


@pytest.mark.thorough
def test_two_ranks_draw_the_tokens_of_transformers(tmp_path):
    known = transformers_model("Starcoder2ForCausalLM", {})  # a head of its own, biases
    write_known_model(known, tmp_path)
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)

    with LLM(str(tmp_path), settings=SETTINGS) as llm:
        answers = [list(o.outputs[0].token_ids) for o in llm.generate(PROMPTS, params)]

    for prompt, answer in zip(PROMPTS, answers, strict=True):
        logits_TV = known.logits(torch.tensor([*prompt, *answer[:-1]]))
        assert answer == logits_TV[len(prompt) - 1 :].argmax(-1).tolist()


class FirstOfTwo(SingleRank):
    num_ranks = 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ExaoneMoeForCausalLM", "moe_tp_experts of experts"),
        ("BitNetForCausalLM", "it has no plan"),
        ("DiffLlamaForCausalLM", "attends with 4 heads and 2 key-value heads"),
    ],
)
def test_what_a_plan_cannot_share_is_refused_in_words(name, told):
    known, scheme = transformers_model(name, {}), UnquantizedScheme()
    spec = any_decoder(ConfigReader(known.config))
    checkpoint = shown_checkpoint(MemoryCheckpoint(known), spec)

    context = LoadContext(
        spec=spec,
        weights=CheckpointWeights(checkpoint, spec),
        device=torch.device("cpu"),
        dtype=torch.float32,
        schemes=lambda part: scheme,
        ranks=FirstOfTwo(),
        max_length=64,
    )

    with torch.inference_mode(), pytest.raises(UnsupportedModelError, match=told):
        assemble_decoder(context)
