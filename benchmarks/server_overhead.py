"""Measures what the server adds to the engine: processor time of both processes per streamed token, on the reference platform.

`python benchmarks/server_overhead.py [--streams 256] [--tokens 200] [--output FILE]` prints JSON. This process sends the load.
The bare engine does the same work in another process, which steps and drops the deltas.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from itertools import repeat
from pathlib import Path

from server_process import num_writes, processor_s, server_process

from jackfield_bench.report import build, emit, summarise
from jackfield_openai_server.bench.http import Target
from jackfield_openai_server.bench.load import send_all
from jackfield_testing.models import write_model

SETTINGS = (
    "select.platform=reference",
    "select.weight_format=dummy",
    "scheduler.max_rows=256",
    'plugins.deny=["jackfield-opentelemetry"]',  # for an observer the engine makes text too
)
SETS = [word for setting in SETTINGS for word in ("--set", setting)]
PROMPT = [65] * 16
BARE = """
import json, sys, time
from jackfield.cli.settings import load_from_words
from jackfield.engine.engine import Engine
from jackfield.sampling import SamplingParams
from jackfield.startup.blueprint import make_blueprint
words, streams, tokens = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with Engine(make_blueprint(load_from_words(words))) as engine:
    for repeat in range(2):  # the first is a warm-up
        began_s = time.process_time()
        for number in range(streams):
            params = SamplingParams(max_tokens=tokens, ignore_eos=True)
            engine.add_request(engine.input.process([65] * 16, params), stream=True)
        while engine.has_unfinished or engine.num_in_flight:
            engine.step()
        took_s = time.process_time() - began_s
print(1e6 * took_s / streams / tokens)
"""


def bare_us(words: list[str], streams: int, tokens: int) -> float:
    """Microseconds of processor time per token, of an engine alone."""
    command = [sys.executable, "-c", BARE, json.dumps(words), str(streams), str(tokens)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def served(words: list[str], streams: int, tokens: int) -> tuple[float, float, float]:
    """Per streamed token: microseconds of processor time of the server and of its engine, and calls of write()."""
    with server_process(words) as server:
        body = {"prompt": PROMPT, "max_tokens": tokens, "stream": True, "ignore_eos": True}
        bodies = [json.dumps(body).encode()] * streams
        for _ in range(2):  # the first is a warm-up
            before = [processor_s(pid) for pid in server.pids]
            written = num_writes(server.pid)
            sent = send_all(
                Target.of(server.url), "/v1/completions", bodies, repeat(0.0), None, 600
            )
            traces, _ = asyncio.run(sent)
            if errors := {trace.error for trace in traces if trace.error}:
                raise SystemExit(f"a request failed: {errors}")
            used = [processor_s(pid) - s for pid, s in zip(server.pids, before, strict=True)]
            written = num_writes(server.pid) - written
        each = 1 / streams / tokens
        return 1e6 * used[0] * each, 1e6 * used[1] * each, written * each


def main() -> None:
    """Measure, alternating, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    work = (arguments.streams, arguments.tokens)
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "tiny"
        write_model(model, max_length=1024)
        words = [str(model), *SETS]
        rows = [(bare_us(words, *work), *served(words, *work)) for _ in range(arguments.repeats)]
    bare, server, engine, writes = (list(column) for column in zip(*rows, strict=True))
    figures = {
        "bare_engine_us_per_token": summarise(bare),
        "server_process_us_per_token": summarise(server),
        "engine_process_us_per_token": summarise(engine),
        "writes_per_token": summarise(writes),
        "engine_process_over_bare": summarise([e / b for e, b in zip(engine, bare, strict=True)]),
    }
    emit(build("server_overhead", vars(arguments), figures), arguments.output)


if __name__ == "__main__":
    main()
