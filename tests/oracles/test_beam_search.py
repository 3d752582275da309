"""Beam search in the engine finds what Transformers' finds, with its scores: lengths, penalties, ends, several answers."""

from itertools import product

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from jackfield import LLM, SamplingParams

pytestmark = pytest.mark.cpu_model

PROMPTS = ([1, 2, 3], [7, 8, 9, 10, 11, 12, 13, 14])
ENDS = [5, 9]
CASES = [
    (width, penalty, early, number)
    for width, (penalty, early), number in product(
        (2, 4), product((1.0, -0.5, 2.0), (False, True, "never")), range(len(PROMPTS))
    )
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=ENDS,
        initializer_range=0.4,
    )
    return LlamaForCausalLM(config).eval()


def test_answers_and_scores_are_those_of_transformers(model, tmp_path):
    """All at once, so that searches run beside each other in steps that are planned ahead."""
    model.save_pretrained(tmp_path)
    settings = {"model.dtype": "float32", "cache.block_size": 4, "cache.num_blocks": 200}
    with LLM(str(tmp_path), settings={**settings, "model.max_length": 64}) as llm:
        outputs = llm.generate(
            [PROMPTS[number] for *_, number in CASES],
            [
                SamplingParams(
                    beam_search={
                        "width": width,
                        "length_penalty": penalty,
                        "early_stopping": early,
                    },
                    n=2,
                    max_tokens=20,
                )
                for width, penalty, early, _ in CASES
            ],
        )

    for case, output in zip(CASES, outputs, strict=True):
        right = search(model, *case)
        for one, token_ids, score in zip(
            output.outputs, right.sequences, right.sequences_scores, strict=True
        ):
            length = len(one.token_ids)
            answer = token_ids[len(output.prompt_token_ids) :].tolist()
            assert list(one.token_ids) == answer[:length], case
            assert set(answer[length:]) <= {ENDS[0]}  # with which it pads
            assert one.score == pytest.approx(float(score), abs=1e-4)
    lengths = {len(one.token_ids) for output in outputs for one in output.outputs}
    assert {min(lengths) < 15, max(lengths) == 20} == {True}


@torch.inference_mode()
def search(model, width, penalty, early, number):
    prompt = torch.tensor([PROMPTS[number]])
    return model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        num_beams=width,
        num_return_sequences=2,
        length_penalty=penalty,
        early_stopping=early,
        do_sample=False,
        max_new_tokens=20,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
    )
