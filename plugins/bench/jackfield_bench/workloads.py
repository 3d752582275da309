"""The exact work of each benchmark: token ids and lengths, which are the same on every machine."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_PLAIN_ID = 256  # smaller ids are special and byte tokens in the usual vocabularies


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request: prompt token ids, and the number of tokens to generate; the end token is ignored."""

    prompt_token_ids: tuple[int, ...]
    num_outputs: int


def _ids(source: random.Random, count: int, vocab_size: int) -> tuple[int, ...]:
    low = FIRST_PLAIN_ID if vocab_size > 2 * FIRST_PLAIN_ID else 0
    return tuple(source.randrange(low, vocab_size) for _ in range(count))


def latency_jobs(
    vocab_size: int, *, num_prompt: int = 128, num_outputs: int = 128, batch: int = 1, seed: int = 0
) -> list[Job]:
    """`batch` requests of equal lengths. Another seed gives other token ids."""
    source = random.Random(f"latency {seed}")
    return [
        Job(prompt_token_ids=_ids(source, num_prompt, vocab_size), num_outputs=num_outputs)
        for _ in range(batch)
    ]


def throughput_jobs(
    vocab_size: int, *, count: int = 32, low: int = 64, high: int = 256, seed: int = 0
) -> list[Job]:
    """`count` requests at once, with lengths uniform in [low, high] from `random.Random(0)` in every run.

    For each request, first the length of the prompt is drawn, then that of the output: 5,499 output tokens by
    default. `seed` changes only the token ids, so that a repetition finds nothing in a prefix cache.
    """
    lengths = random.Random(0)
    source = random.Random(f"throughput {seed}")
    jobs = []
    for _ in range(count):
        num_prompt, num_outputs = lengths.randint(low, high), lengths.randint(low, high)
        jobs.append(
            Job(prompt_token_ids=_ids(source, num_prompt, vocab_size), num_outputs=num_outputs)
        )
    return jobs
