"""The second real model, with windows: greedy tokens equal Transformers' in float32, below and past the window of 512."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jackfield import LLM, SamplingParams

pytestmark = [pytest.mark.cpu_model, pytest.mark.slow]

LONG = "".join(f"{n} squared is {n * n}. " for n in range(80))  # more tokens than the window
PROMPTS = ("The capital of France is", "def quicksort(items):\n", LONG)
PARAMS = SamplingParams(max_tokens=24, temperature=0.0, ignore_eos=True)


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM("gemma3-270m", dtype="float32", settings={"model.max_length": 1024}) as llm:
        yield llm


@pytest.fixture(scope="module")
def ours(llm: LLM) -> list[tuple[list[int], list[int]]]:
    """Prompt ids and answers."""
    outputs = llm.generate(list(PROMPTS), PARAMS)
    return [
        (list(output.prompt_token_ids), list(output.outputs[0].token_ids)) for output in outputs
    ]


@pytest.fixture(scope="module")
def peer(llm: LLM) -> Any:
    transformers = pytest.importorskip("transformers")
    path = llm.files.path
    return transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype="float32"
    ).eval()


def test_the_long_prompt_is_longer_than_the_window(
    ours: list[tuple[list[int], list[int]]], peer: Any
) -> None:
    assert len(ours[-1][0]) > peer.config.sliding_window


@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_greedy_tokens_are_those_of_transformers(
    ours: list[tuple[list[int], list[int]]], peer: Any, index: int
) -> None:
    import torch

    prompt_ids, answer_ids = ours[index]
    with torch.inference_mode():
        logits_LV = peer(torch.tensor([prompt_ids + answer_ids])).logits[0]
    logits_LV = logits_LV[len(prompt_ids) - 1 : -1]

    assert logits_LV.argmax(-1).tolist() == answer_ids
