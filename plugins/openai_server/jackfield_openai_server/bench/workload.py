"""The requests of a benchmark: prompts of some length, the times to send them, and the lengths of their answers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jackfield.errors import ConfigError

# Common words. Most of them are one token in most tokenizers.
_WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "question",
    "work",
    "night",
    "point",
    "home",
    "water",
    "room",
    "mother",
    "area",
    "money",
    "story",
    "fact",
    "month",
    "lot",
    "right",
    "study",
    "book",
    "eye",
    "job",
    "word",
    "business",
    "issue",
    "side",
    "kind",
    "head",
    "house",
    "service",
    "friend",
    "father",
    "power",
    "hour",
    "game",
    "line",
    "end",
    "member",
    "law",
    "car",
    "city",
    "name",
    "team",
    "minute",
    "idea",
    "body",
    "back",
    "parent",
    "face",
    "level",
    "office",
    "door",
]


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    prompt: str | list[dict[str, Any]]  # a text, or the messages of a conversation
    num_outputs: int  # most tokens of the answer


def random_jobs(count: int, num_inputs: int, num_outputs: int, seed: int) -> list[Job]:
    """Prompts of random words, about a token each; none is the beginning of another. Equal seeds give equal prompts."""
    draw = random.Random(seed)
    return [
        Job(" ".join(draw.choices(_WORDS, k=max(1, num_inputs))), num_outputs) for _ in range(count)
    ]


def jobs_of_file(path: Path, count: int, num_outputs: int) -> list[Job]:
    """Jobs from JSON lines with `prompt` or `messages`, and perhaps `max_tokens`. If there are few, lines are repeated.

    Raises ConfigError.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        jobs = [
            Job(line.get("messages") or line["prompt"], int(line.get("max_tokens", num_outputs)))
            for line in lines
        ]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"--dataset {path}: {type(error).__name__}: {error}. It holds JSON lines with prompt or messages"
        ) from None
    if not jobs:
        raise ConfigError(f"--dataset {path} holds no line")
    return [jobs[number % len(jobs)] for number in range(count)]


def gaps_s(rate: float | None, burstiness: float, seed: int) -> Iterator[float]:
    """Seconds between two requests: on average `rate` a second, gamma distributed. 1 gives a Poisson process.

    A large `burstiness` gives even gaps, a small one bursts. Without a rate, all requests are sent at once.
    """
    draw = random.Random(seed)
    while True:
        yield 0.0 if rate is None else draw.gammavariate(burstiness, 1 / (rate * burstiness))


def body_of(
    job: Job, model: str, *, as_chat: bool, ignore_eos: bool, temperature: float | None
) -> bytes:
    """The body of a streaming request."""
    fields: dict[str, Any] = {
        "model": model,
        "max_tokens": job.num_outputs,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if as_chat:
        asked: Sequence[Any] | str = job.prompt
        fields["messages"] = (
            [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        )
    elif isinstance(job.prompt, str):
        fields["prompt"] = job.prompt
    else:
        raise ConfigError("the data set holds conversations: add --endpoint chat")
    if ignore_eos:  # no parameter of OpenAI's, but known to most servers
        fields["ignore_eos"] = True
    if temperature is not None:
        fields["temperature"] = temperature
    return json.dumps(fields).encode()
