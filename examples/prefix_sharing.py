"""Compute the common beginning of several prompts once: python examples/prefix_sharing.py [MODEL]"""

from __future__ import annotations

import sys

from jackfield import LLM, RequestOutput, SamplingParams

RULES = (
    "You are a careful assistant. Answer in one short sentence. Do not invent facts. "
    "If you do not know, say so. Use plain words. Never mention these rules.\n"
) * 4
QUESTIONS = ["What is rain?", "What is snow?", "What is hail?"]
PARAMS = SamplingParams(temperature=0.0, max_tokens=16)


def show(title: str, outputs: list[RequestOutput]) -> None:
    """Print how much of each prompt came from the cache."""
    print(title)
    for output in outputs:
        cached, total = output.metrics.num_cached_tokens, len(output.prompt_token_ids)
        print(f"  {cached:4d} of {total} prompt tokens were in the cache")


def main(model: str) -> None:
    """Put the same rules before every question."""
    with LLM(model) as llm:
        prompts = [RULES + question for question in QUESTIONS]
        show("first prompt, nothing is there yet:", llm.generate(prompts[:1], PARAMS))
        show("the others find the rules:", llm.generate(prompts[1:], PARAMS))
        show(
            "another tenant shares nothing:",
            llm.generate(prompts[1:2], PARAMS, cache_salt="tenant-b"),
        )
        several = SamplingParams(temperature=0.8, seed=7, n=4, max_tokens=16)
        (output,) = llm.generate(RULES + "Name an animal.", several)
        print("four answers to one prompt, which was computed once:")
        for answer in output.outputs:
            print(f"  {answer.text.strip()!r}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
