"""A real model, end to end: greedy tokens equal Transformers' in float32, whatever the schedule.

Transformers loads the file with its own GGUF reader. It is asked for the logits of each prompt and our answer at
once: if its most likely token is ours at every position, its own greedy search would have made the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jackfield import LLM, SamplingParams

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


def engine(**settings: Any) -> LLM:
    return LLM("smollm2", dtype="float32", settings={"model.max_length": 256, **settings})


def tokens_of(llm: LLM, prompts: tuple[str, ...] = PROMPTS) -> list[list[int]]:
    return [list(output.outputs[0].token_ids) for output in llm.generate(list(prompts), PARAMS)]


@dataclass
class Peer:
    model: Any
    tokenizer: Any


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with engine() as llm:
        yield llm


@pytest.fixture(scope="module")
def ours(llm: LLM) -> list[list[int]]:
    return tokens_of(llm)


@pytest.fixture(scope="module")
def peer(llm: LLM) -> Peer:
    transformers = pytest.importorskip("transformers")
    path = llm.files.path
    folder, name = str(path.parent), path.name
    return Peer(
        transformers.AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, dtype="float32"
        ).eval(),
        transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name),
    )


@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_prompt_ids_are_those_of_the_tokenizer_of_transformers(
    llm: LLM, peer: Peer, index: int
) -> None:
    assert llm.tokenizer.encode(PROMPTS[index]) == peer.tokenizer(PROMPTS[index]).input_ids


@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_greedy_tokens_are_those_of_transformers(
    ours: list[list[int]], peer: Peer, index: int
) -> None:
    import torch

    prompt_ids = peer.tokenizer(PROMPTS[index]).input_ids
    with torch.inference_mode():
        logits_LV = peer.model(torch.tensor([prompt_ids + ours[index]])).logits[0]
    logits_LV = logits_LV[len(prompt_ids) - 1 : -1]
    top_L2 = logits_LV.topk(2).values

    assert len(ours[index]) == NUM_TOKENS
    assert logits_LV.argmax(-1).tolist() == ours[index]
    assert float((top_L2[:, 0] - top_L2[:, 1]).min()) >= SMALLEST_GAP


@pytest.mark.parametrize("length_penalty", [1.0, -1.0])
def test_beams_are_those_of_transformers(llm: LLM, peer: Peer, length_penalty: float) -> None:
    import torch

    prompts, width, num_tokens = PROMPTS[:2], 4, 12
    search = {"width": width, "length_penalty": length_penalty, "early_stopping": True}
    params = SamplingParams(beam_search=search, n=2, max_tokens=num_tokens)

    for prompt, output in zip(prompts, llm.generate(list(prompts), params), strict=True):
        ids = peer.tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            right = peer.model.generate(
                **ids,
                num_beams=width,
                num_return_sequences=2,
                length_penalty=length_penalty,
                early_stopping=True,
                do_sample=False,
                max_new_tokens=num_tokens,
                pad_token_id=peer.tokenizer.eos_token_id,
            )
        for one, found in zip(output.outputs, right[:, ids.input_ids.shape[1] :], strict=True):
            assert list(one.token_ids) == found.tolist()[: len(one.token_ids)]


def test_one_by_one_gives_the_tokens_of_the_batch(llm: LLM, ours: list[list[int]]) -> None:
    assert [tokens_of(llm, (prompt,))[0] for prompt in PROMPTS[:2]] == ours[:2]


def test_chunks_and_prefix_hits_do_not_change_tokens(ours: list[list[int]]) -> None:
    with engine(**{"scheduler.max_step_tokens": 16}) as llm:
        first = tokens_of(llm)
        again = llm.generate(list(PROMPTS), PARAMS)

    assert first == ours
    assert [list(output.outputs[0].token_ids) for output in again] == ours
    assert sum(output.metrics.num_cached_tokens for output in again) > 0


def test_preemption_does_not_change_tokens(ours: list[list[int]]) -> None:
    with engine(**{"cache.num_blocks": 20}) as llm:
        outputs = llm.generate(list(PROMPTS), PARAMS)

    assert sum(output.metrics.num_preemptions for output in outputs) > 0
    assert [list(output.outputs[0].token_ids) for output in outputs] == ours


def test_chat_template_is_that_of_transformers(llm: LLM, peer: Peer) -> None:
    messages = [{"role": "user", "content": "Why is the sky blue?"}]

    prompt = llm.tokenizer.apply_chat_template(messages)

    assert prompt == peer.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False
    )
