"""Answer a list of prompts at once and print the outcome of each: python examples/offline.py [MODEL]"""

from __future__ import annotations

import sys

from jackfield import LLM, SamplingParams

PROMPTS = [
    "The capital of France is",
    "Water boils at",
    "",  # wrong on purpose: only this prompt fails
    "The three primary colours are",
]


def main(model: str) -> None:
    """Answer all prompts. They share the steps of the engine; outputs have the order of the prompts."""
    params = SamplingParams(temperature=0.0, max_tokens=24, stop=("\n\n",))
    with LLM(model) as llm:
        outputs = llm.generate(PROMPTS, params, progress=sys.stderr.isatty())
        for output in outputs:
            answer = output.outputs[0]
            if answer.error is not None:
                print(f"{output.prompt!r} failed: {answer.error}")
            else:
                print(f"{output.prompt!r} -> {answer.text!r} ({answer.finish_reason})")

        # One parameter set for each prompt works too, and several outputs of one prompt.
        diverse = SamplingParams(temperature=0.9, top_p=0.95, seed=1, n=3, max_tokens=16)
        for answer in llm.generate("Once upon a time", diverse)[0].outputs:
            print(f"[{answer.index}] {answer.text!r}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
