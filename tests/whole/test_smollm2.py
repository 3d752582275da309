"""A real model, end to end: greedy tokens equal Transformers' in float32, whatever the schedule.

Transformers loads the file with its own GGUF reader. It is asked for the logits of each prompt and our answer at
once: if its most likely token is ours at every position, its own greedy search would have made the same tokens. The tokenizer is
compared in tests/plugins/gguf/test_tokenizer.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jackfield import LLM, RequestOutput, SamplingParams

pytestmark = pytest.mark.cpu_model

NUM_TOKENS = 40
SMALLEST_GAP = 1e-3  # between the two largest logits, at every step: no near-tie decides
PROMPTS = (
    "def fibonacci(n):\n    ",
    "Der schnelle braune Fuchs springt",
    "1, 1, 2, 3, 5, 8,",
    "Q: What is the boiling point of water?\nA:",
    '{"name": "Alice", "age":',
    "Émile déjeune à la crêperie — très bon !",
    "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n",
    "SELECT name FROM users WHERE",
    "The mitochondria is the",
    "She opened the door and",
    "🙂🙃 emoji are",
    "for (int i = 0; i < n; i++) {",
)
PARAMS = SamplingParams(max_tokens=NUM_TOKENS, temperature=0.0, ignore_eos=True)
FEW = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)  # for other schedules


def engine(**settings: Any) -> LLM:
    return LLM("smollm2", dtype="float32", settings={"model.max_length": 256, **settings})


def tokens_of(outputs: list[RequestOutput]) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in outputs]


def first_of(ours: list[list[int]]) -> list[list[int]]:
    return [tokens[: FEW.max_tokens] for tokens in ours]


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with engine() as llm:
        yield llm


@pytest.fixture(scope="module")
def ours(llm: LLM) -> list[list[int]]:
    return tokens_of(llm.generate(list(PROMPTS), PARAMS))


@pytest.fixture(scope="module")
def peer(llm: LLM) -> Any:
    transformers = pytest.importorskip("transformers")
    path = llm.files.path
    return transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype="float32"
    ).eval()


@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_greedy_tokens_are_those_of_transformers(
    llm: LLM, ours: list[list[int]], peer: Any, index: int
) -> None:
    import torch

    prompt_ids = llm.tokenizer.encode(PROMPTS[index])
    with torch.inference_mode():
        logits_LV = peer(torch.tensor([prompt_ids + ours[index]])).logits[0]
    logits_LV = logits_LV[len(prompt_ids) - 1 : -1]
    top_L2 = logits_LV.topk(2).values

    assert len(ours[index]) == NUM_TOKENS
    assert logits_LV.argmax(-1).tolist() == ours[index]
    assert float((top_L2[:, 0] - top_L2[:, 1]).min()) >= SMALLEST_GAP


@pytest.mark.parametrize("length_penalty", [1.0, -1.0])
def test_beams_are_those_of_transformers(llm: LLM, peer: Any, length_penalty: float) -> None:
    import torch

    prompts, width, num_tokens = PROMPTS[:2], 4, 12
    search = {"width": width, "length_penalty": length_penalty, "early_stopping": True}
    params = SamplingParams(beam_search=search, n=2, max_tokens=num_tokens)

    for prompt, output in zip(prompts, llm.generate(list(prompts), params), strict=True):
        ids_1T = torch.tensor([llm.tokenizer.encode(prompt)])
        with torch.inference_mode():
            right = peer.generate(
                ids_1T,
                attention_mask=torch.ones_like(ids_1T),
                num_beams=width,
                num_return_sequences=2,
                length_penalty=length_penalty,
                early_stopping=True,
                do_sample=False,
                max_new_tokens=num_tokens,
                pad_token_id=llm.tokenizer.end_token_ids[0],
            )
        for one, found in zip(output.outputs, right[:, ids_1T.shape[1] :], strict=True):
            assert list(one.token_ids) == found.tolist()[: len(one.token_ids)]


def test_one_by_one_gives_the_tokens_of_the_batch(llm: LLM, ours: list[list[int]]) -> None:
    alone = [tokens_of(llm.generate([prompt], FEW))[0] for prompt in PROMPTS[:2]]

    assert alone == first_of(ours)[:2]


def test_chunks_and_prefix_hits_do_not_change_tokens(ours: list[list[int]]) -> None:
    with engine(**{"scheduler.max_step_tokens": 16}) as llm:
        first, again = (llm.generate(list(PROMPTS), FEW) for _ in range(2))

    assert tokens_of(first) == tokens_of(again) == first_of(ours)
    assert sum(output.metrics.num_cached_tokens for output in again) > 0


def test_preemption_does_not_change_tokens(ours: list[list[int]]) -> None:
    with engine(**{"cache.num_blocks": 16}) as llm:
        outputs = llm.generate(list(PROMPTS), FEW)

    assert sum(output.metrics.num_preemptions for output in outputs) > 0
    assert tokens_of(outputs) == first_of(ours)
