"""Stream answers to several callers at once, one of which leaves early: python examples/streaming.py [MODEL]"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

from jackfield import AsyncLLM, SamplingParams

QUESTIONS = ["What is a jackfield?", "Why is the sky blue?", "Name a river."]


async def ask(llm: AsyncLLM, question: str, max_pieces: int | None = None) -> str:
    """Print the answer while it comes. A caller who leaves ends its request."""
    text, pieces = "", 0
    messages = [{"role": "user", "content": question}]
    params = SamplingParams(temperature=0.0, max_tokens=48)
    async with aclosing(llm.generate(messages, params)) as outputs:
        async for output in outputs:
            delta = output.outputs[0].delta
            text += delta
            print(f"{question} {delta!r}", flush=True)
            pieces += 1
            if pieces == max_pieces:
                break
    return text


async def run(llm: AsyncLLM) -> None:
    """Run three conversations at once. The last caller leaves after four pieces."""
    patience = [None, None, 4]
    answers = await asyncio.gather(
        *(ask(llm, q, p) for q, p in zip(QUESTIONS, patience, strict=True))
    )
    for question, answer in zip(QUESTIONS, answers, strict=True):
        print(f"\n{question}\n{answer}")


def main(model: str) -> None:
    """Load the model before the event loop starts, so that nothing blocks the loop."""
    with AsyncLLM(model) as llm:
        asyncio.run(run(llm))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smollm2")
