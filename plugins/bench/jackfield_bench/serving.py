"""Latency, throughput and start-up of a model, measured through the client that users call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from jackfield.client import LLM
from jackfield.errors import EngineError
from jackfield.request import RequestOutput
from jackfield.sampling import SamplingParams
from jackfield_bench.workloads import Job, latency_jobs, throughput_jobs


def run_jobs(llm: LLM, jobs: Sequence[Job]) -> tuple[list[RequestOutput], float]:
    """Run all jobs at once, greedily and ignoring the end token. Returns their outputs and the seconds."""
    params = [
        SamplingParams(max_tokens=job.num_outputs, temperature=0.0, ignore_eos=True) for job in jobs
    ]
    prompts = [list(job.prompt_token_ids) for job in jobs]
    began = time.perf_counter()
    outputs = llm.generate(prompts, params)
    return outputs, time.perf_counter() - began


def decode_rate(outputs: Sequence[RequestOutput]) -> float:
    """Output tokens a second over all requests, without prefill: after the first token of each request."""
    tokens = sum(len(output.outputs[0].token_ids) - 1 for output in outputs)
    first = min(output.metrics.first_token_s or 0.0 for output in outputs)
    last = max(output.metrics.finished_s or 0.0 for output in outputs)
    return tokens / (last - first)


def measure_latency(
    llm: LLM, vocab_size: int, *, batch: int, num_prompt: int, num_outputs: int, seed: int
) -> dict[str, float]:
    """One run of `batch` equal requests; `seed` makes the prompts differ between repetitions."""
    jobs = latency_jobs(
        vocab_size, num_prompt=num_prompt, num_outputs=num_outputs, batch=batch, seed=seed
    )
    outputs, total_s = run_jobs(llm, jobs)
    metrics = outputs[0].metrics
    return {
        "decode_tokens_per_s": decode_rate(outputs),
        "first_token_ms": 1e3 * ((metrics.first_token_s or 0.0) - metrics.arrived_s),
        "total_s": total_s,
    }


def measure_throughput(
    llm: LLM, vocab_size: int, *, count: int, low: int, high: int, seed: int
) -> dict[str, float]:
    """One run of `count` requests at once; output tokens over the seconds until the last token."""
    outputs, total_s = run_jobs(
        llm, throughput_jobs(vocab_size, count=count, low=low, high=high, seed=seed)
    )
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return {"output_tokens_per_s": tokens / total_s, "total_s": total_s}


_STARTUP = """
import json, sys, time
began = float(sys.argv[1])
import jackfield
imported = time.time()
from jackfield import LLM, SamplingParams
from jackfield.cli.settings import load_from_words
with LLM.from_config(load_from_words(json.loads(sys.argv[2]))) as llm:
    ready = time.time()
    llm.generate(json.loads(sys.argv[3]), SamplingParams(max_tokens=1, temperature=0.0))
    first = time.time()
print(json.dumps({"import_s": imported - began, "ready_s": ready - began, "first_token_s": first - began}))
"""


def measure_startup(
    words: Sequence[str],
    *,
    prompt: str | Sequence[int] = "Hello",
    environment: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Seconds from the start of a fresh process to: package imported, engine ready, first token.

    `words`: model and settings as on the command line. `environment`: variables beside those of this process.
    """
    variables = {**os.environ, **(environment or {})}
    arguments = [repr(time.time()), json.dumps(words), json.dumps(prompt)]
    command = [sys.executable, "-c", _STARTUP, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        raise EngineError(f"the measured process failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
