"""Steady load on a server: memory, ended requests, and tokens per second compared with the engine without a server.

`python benchmarks/server_load.py [MODEL] [--minutes 10] [--streams 64] [--output FILE]` prints JSON. The server works in
rounds; the engine alone is measured before and after each of them, with requests of the same lengths, since machines
change their speed within minutes. All prompts differ, so none is cached.
Tokens are those that the engine computed, of prompts and answers, as its own counter says. The clients work on the same
cores as the server; what all three processes use for a token is told beside what the engine alone uses.
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from lean_client import Ended, stream
from server_process import ServerProcess, processor_s, resident_bytes, server_process
from sides import Side, side

from jackfield.cli.settings import load_from_words
from jackfield.engine.engine import Engine
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import make_blueprint
from jackfield_bench.report import build, emit, summarise
from jackfield_openai_server.bench.http import Target, fetch

PROMPT_TOKENS, OUTPUT_TOKENS = (16, 256), (32, 256)  # of a request, least and most
TOKEN_IDS = (1000, 40000)
WARM_UP_S = 30.0  # until steps mix prompts and answers
_LONGEST_S = 600.0  # of one request
LOOK_S = 5.0  # time between two measurements of memory
MIB = 1 << 20


def requests(seed: int) -> Iterator[tuple[list[int], int]]:
    """An endless series of prompts and lengths of answers."""
    numbers = random.Random(seed)
    while True:
        prompt = [numbers.randint(*TOKEN_IDS) for _ in range(numbers.randint(*PROMPT_TOKENS))]
        yield prompt, numbers.randint(*OUTPUT_TOKENS)


def serve_offline(pipe: Connection, words: Sequence[str], streams: int, seconds: float) -> None:
    """Run the engine alone, in its own process. For each seed that it gets, it answers tokens per second."""
    with Engine(make_blueprint(load_from_words(list(words)))) as engine:
        pipe.send("ready")
        while (question := pipe.recv()) is not None:
            pipe.send(_offline_rate(engine, requests(question[1]), streams, seconds))


def _offline_rate(
    engine: Engine, work: Iterator[tuple[list[int], int]], streams: int, seconds: float
) -> float:
    open_ids = {_add(engine, *next(work)) for _ in range(streams)}
    began_s = time.monotonic()
    first_s, first = began_s, 0
    while (now_s := time.monotonic()) < began_s + WARM_UP_S + seconds:
        if not first and now_s > began_s + WARM_UP_S:
            first_s, first = now_s, engine.stats.num_tokens
        for delta in engine.step():
            if delta.ending is not None:
                open_ids.discard(delta.request.request_id)
                open_ids.add(_add(engine, *next(work)))
    rate = (engine.stats.num_tokens - first) / (now_s - first_s)
    for request_id in open_ids:
        engine.abort(request_id)
    while engine.has_unfinished or engine.num_in_flight:
        engine.step()
    return rate


def _add(engine: Engine, prompt: list[int], max_tokens: int) -> str:
    """Add a request to the engine; returns its id."""
    params = SamplingParams(max_tokens=max_tokens, ignore_eos=True)
    request = engine.input.process(prompt, params)
    engine.add_request(request, stream=True)
    return request.request_id


class Load:
    """Several clients, each of which sends its next request when the last one has ended."""

    def __init__(self, server: ServerProcess, streams: int, seconds: float) -> None:
        self._server = server
        self._target = Target.of(server.url)
        self._streams = streams
        self._seconds = seconds
        self._work = requests(seed=1)
        self.ended: list[Ended] = []
        self.memory: list[tuple[int, ...]] = []  # bytes of server and engine

    async def run(self) -> dict[str, Any]:
        """One round: tokens a second once prompts and answers are mixed, and what is left when all have ended."""
        end_s = time.monotonic() + WARM_UP_S + self._seconds
        clients = [asyncio.create_task(self._client(end_s)) for _ in range(self._streams)]
        await asyncio.sleep(WARM_UP_S)
        first_s, first = await self._count()
        pids = (*self._server.pids, os.getpid())
        used = [processor_s(pid) for pid in pids]
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
        last_s, last = await self._count()
        used = [processor_s(pid) - s for pid, s in zip(pids, used, strict=True)]
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await asyncio.gather(*clients)
        await asyncio.sleep(1.0)  # for the last figures of the engine
        return {
            "tokens_per_s": round((last - first) / (last_s - first_s), 2),
            "server_process_us_per_token": round(1e6 * used[0] / (last - first), 2),
            "engine_process_us_per_token": round(1e6 * used[1] / (last - first), 2),
            "clients_us_per_token": round(1e6 * used[2] / (last - first), 2),
            "left_in_engine": await self._left(),
        }

    def summary(self) -> dict[str, Any]:
        """Requests, errors and memory of all rounds."""
        return {
            "requests": len(self.ended),
            "errors": sorted({each.error for each in self.ended if each.error}),
            "output_tokens": sum(each.num_tokens for each in self.ended),
            "server_mib": _growth([each[0] for each in self.memory]),
            "engine_mib": _growth([each[1] for each in self.memory]),
        }

    async def _client(self, end_s: float) -> None:
        while time.monotonic() < end_s:
            prompt, max_tokens = next(self._work)
            body = {"prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True, "stream": True}
            body["stream_options"] = {"include_usage": True}
            target, sent = self._target, json.dumps(body).encode()
            self.ended.append(
                await stream(target.host, target.port, "/v1/completions", sent, _LONGEST_S)
            )

    async def _count(self) -> tuple[float, float]:
        """The moment at which the engine's count of tokens was renewed, and the count."""
        last = await self._metric("engine_tokens_total")
        while (now := await self._metric("engine_tokens_total")) == last:  # noqa: ASYNC110 - asks another process
            await asyncio.sleep(0.02)
        return time.monotonic(), now

    async def _watch(self) -> None:
        while True:
            self.memory.append(tuple(map(resident_bytes, self._server.pids)))
            await asyncio.sleep(LOOK_S)

    async def _left(self) -> dict[str, float]:
        names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        return {name: await self._metric(name) for name in names}

    async def _metric(self, name: str) -> float:
        _, body = await fetch(self._target, "GET", "/metrics")
        found = re.search(rf"^jackfield_{name}\{{.*\}} (\S+)$", body.decode(), re.MULTILINE)
        assert found, f"the server has a series {name}"
        return float(found[1])


def _alone(engine: Side, seed: int) -> dict[str, float]:
    """Tokens a second of the engine alone, and its processor time for a token."""
    began_s, used_s = time.monotonic(), processor_s(engine.pid)
    rate = engine.measure("", seed)
    cores = (processor_s(engine.pid) - used_s) / (time.monotonic() - began_s)
    return {"tokens_per_s": round(rate, 2), "process_us_per_token": round(1e6 * cores / rate, 2)}


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _growth(samples: Sequence[int]) -> dict[str, float]:
    """Memory at the beginning, and its largest value in the first and in the last third of the time."""
    third = max(1, len(samples) // 3)
    return {
        "first": round(samples[0] / MIB, 1),
        "most_in_first_third": round(max(samples[:third]) / MIB, 1),
        "most_in_last_third": round(max(samples[-third:]) / MIB, 1),
    }


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the server, in all rounds")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--offline-s", type=float, default=40.0, help="before and after each round")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--output")
    arguments = parser.parse_args()
    words = [arguments.model, *(word for each in arguments.set for word in ("--set", each))]
    seconds = 60 * arguments.minutes / arguments.rounds
    with (
        side(serve_offline, words, arguments.streams, arguments.offline_s) as alone,
        server_process(words) as server,
    ):
        load = Load(server, arguments.streams, seconds)
        offline, served = [_alone(alone, 2)], []
        for number in range(arguments.rounds):
            served.append(uvloop.run(load.run()))
            offline.append(_alone(alone, 3 + number))
            _tell(f"alone {offline[-2]}, served {served[-1]}, alone {offline[-1]}")
    rates = [each["tokens_per_s"] for each in served]
    alone_rates = [each["tokens_per_s"] for each in offline]
    beside = [(before + after) / 2 for before, after in pairwise(alone_rates)]
    whole = load.summary()
    figures = {
        "served_tokens_per_s": summarise(rates),
        "offline_tokens_per_s": summarise(alone_rates),
        "served_over_offline": summarise([a / b for a, b in zip(rates, beside, strict=True)]),
        "rounds": served,
        "alone": offline,
        "all_rounds": whole,
        "all_is_back": not whole["errors"]
        and not any(value for each in served for value in each["left_in_engine"].values()),
    }
    emit(build("server_load", vars(arguments), figures), arguments.output)


if __name__ == "__main__":
    main()
