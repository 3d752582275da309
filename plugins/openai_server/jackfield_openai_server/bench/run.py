"""Runs a sweep of rates, then writes the report and the picture."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from typing import Any

from jackfield.environment import client_api_key
from jackfield.errors import ConfigError
from jackfield_bench.report import build, emit
from jackfield_openai_server.bench.canvas import canvas_for
from jackfield_openai_server.bench.figures import figures_of, parse_goals
from jackfield_openai_server.bench.http import Target, fetch
from jackfield_openai_server.bench.load import send_all
from jackfield_openai_server.bench.picture import draw
from jackfield_openai_server.bench.workload import (
    Job,
    body_of,
    gaps_s,
    jobs_of_file,
    random_jobs,
)

_PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


def run(arguments: argparse.Namespace) -> int:
    """Run and return the exit status: 1 if no request succeeded. Raises ConfigError."""
    rates = [_rate(word) for word in arguments.request_rate]
    goals = parse_goals(arguments.goodput)
    if arguments.num_prompts < 1 or arguments.burstiness <= 0:
        raise ConfigError("--num-prompts and --burstiness must be above 0")
    if arguments.picture:
        canvas_for(arguments.picture, 1, 1)  # an error comes before the load does
    runs = asyncio.run(_sweep(arguments, rates, goals))
    settings = {
        name: value if isinstance(value, (int, float, list)) else str(value)
        for name, value in vars(arguments).items()
        if value is not None
    }
    emit(build("serve", settings, {"runs": runs}), arguments.output)
    if arguments.picture:
        title = f"{arguments.url}: {arguments.num_prompts} requests at each rate"
        draw(arguments.picture, runs, title)
    return 0 if any(found["completed"] for found in runs) else 1


def _rate(word: str) -> float | None:
    try:
        rate = float(word)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise ConfigError(f"--request-rate takes numbers above 0, or inf; got {word!r}")
    return None if math.isinf(rate) else rate


async def _sweep(
    arguments: argparse.Namespace, rates: list[float | None], goals: dict[str, float]
) -> list[dict[str, Any]]:
    target = Target.of(arguments.url, client_api_key())
    model = arguments.model or await _first_model(target)
    path = _PATHS[arguments.endpoint]
    runs = []

    async def once(number: int, rate: float | None, count: int) -> dict[str, Any]:
        jobs = _jobs(arguments, count, number)
        bodies = [
            body_of(
                job, model, as_chat=arguments.endpoint == "chat",
                ignore_eos=arguments.ignore_eos, temperature=arguments.temperature,
            )
            for job in jobs
        ]  # fmt: skip
        gaps = gaps_s(rate, arguments.burstiness, arguments.seed)
        traces, seconds = await send_all(
            target, path, bodies, gaps, arguments.max_concurrency, arguments.timeout
        )
        return {"request_rate": rate, **figures_of(traces, seconds, goals)}

    if arguments.warmups:
        await once(-1, None, arguments.warmups)
    for number, rate in enumerate(rates):
        runs.append(await once(number, rate, arguments.num_prompts))
        _tell(runs[-1])
    return runs


def _jobs(arguments: argparse.Namespace, count: int, number: int) -> list[Job]:
    """Jobs with new prompts in each run, so that no cache has them."""
    if arguments.dataset is not None:
        return jobs_of_file(arguments.dataset, count, arguments.output_len)
    seed = 1000 * arguments.seed + number
    return random_jobs(count, arguments.input_len, arguments.output_len, seed)


async def _first_model(target: Target) -> str:
    """The first model of the server. Raises ConfigError if no server answers, or if it lists none."""
    try:
        status, body = await fetch(target, "GET", "/v1/models")
        if status != 200:
            raise ConfigError(f"{target.host}:{target.port} answered {status}: {body[:300]!r}")
        return str(json.loads(body)["data"][0]["id"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"no model could be found at {target.host}:{target.port}{target.path}/v1/models: {error}. "
            "Is the server running? Name its address with --url, the model with --model"
        ) from None


def _tell(found: dict[str, Any]) -> None:
    first, gap = found["ttft_ms"], found["itl_ms"]
    line = f"rate {found['request_rate'] or 'inf'}: {found['completed']} done, {found['failed']} failed"
    if first and gap:
        line += (
            f", {found['output_tokens_per_s']} tokens/s, first token {first['p50']} / {first['p99']} ms, "
            f"between tokens {gap['p50']} / {gap['p99']} ms (median / p99)"
        )
    sys.stderr.write(f"{line}\n")
