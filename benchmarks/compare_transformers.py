"""Compares Jackfield with Transformers' `generate`, alternating in one run: decoding at batch 1, and throughput.

    python benchmarks/compare_transformers.py smollm2 --output benchmarks/results/FILE.json

Both hold the same weights in the same dtype and use the same number of threads. Each has its own process, because in one
process the threads and the memory of one slow down the other. While one works, the other sleeps.
Transformers' batch is static and left-padded: it runs to the end of the longest request, and only requested tokens count.
Figures are medians of `--repeats` alternating runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from sides import side
from transformers import AutoModelForCausalLM, GgufConfig

from jackfield import LLM
from jackfield.cli.settings import load_from_words
from jackfield_bench.report import build, emit, summarise, versions
from jackfield_bench.serving import measure_latency, measure_throughput
from jackfield_bench.workloads import Job, latency_jobs, throughput_jobs


class TransformersPeer:
    """Greedy `generate` with a fixed number of new tokens."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval()
        self.pad_id = model.config.eos_token_id or 0
        self.model.generation_config.pad_token_id = self.pad_id

    @torch.inference_mode()
    def generate(self, jobs: Sequence[Job], num_outputs: int) -> float:
        """Seconds that the batch takes for `num_outputs` tokens. Prompts are padded on the left."""
        longest = max(len(job.prompt_token_ids) for job in jobs)
        ids = torch.full((len(jobs), longest), self.pad_id)
        mask = torch.zeros((len(jobs), longest), dtype=torch.long)
        for row, job in enumerate(jobs):
            ids[row, longest - len(job.prompt_token_ids) :] = torch.tensor(job.prompt_token_ids)
            mask[row, longest - len(job.prompt_token_ids) :] = 1
        began = time.perf_counter()
        made = self.model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=num_outputs,
            min_new_tokens=num_outputs,
        )
        seconds = time.perf_counter() - began
        if made.shape[1] != longest + num_outputs:
            raise RuntimeError(
                f"generate made {made.shape[1] - longest} tokens, wanted {num_outputs}"
            )
        return seconds

    def latency(self, jobs: Sequence[Job]) -> float:
        """Decoded tokens per second. The time of the prompt is measured by a run of one token, and subtracted."""
        count = jobs[0].num_outputs
        return len(jobs) * (count - 1) / (self.generate(jobs, count) - self.generate(jobs, 1))

    def throughput(self, jobs: Sequence[Job]) -> float:
        """Requested output tokens per second."""
        seconds = self.generate(jobs, max(job.num_outputs for job in jobs))
        return sum(job.num_outputs for job in jobs) / seconds


def alternate(
    ours: Callable[[int], float], peer: Callable[[int], float], repeats: int
) -> dict[str, Any]:
    """Run both alternately after a warm-up each. Returns their summaries and the ratio of the medians."""
    ours(0)
    peer(0)
    mine, theirs = [], []
    for number in range(1, repeats + 1):
        mine.append(ours(number))
        theirs.append(peer(number))
        print(
            f"  {number}: jackfield {mine[-1]:.1f}, transformers {theirs[-1]:.1f} tokens/s",
            file=sys.stderr,
        )
    left, right = summarise(mine), summarise(theirs)
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {"jackfield": left, "transformers": right, "ratio": summarise(ratios)}


def load_peer(path: Path, dtype: torch.dtype) -> TransformersPeer:
    """Load the same file with Transformers, as plain matrices of `dtype`."""
    folder, extra = str(path), {}
    if path.is_file():
        dense = GgufConfig(dequantize=True)
        folder, extra = str(path.parent), {"gguf_file": path.name, "quantization_config": dense}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **extra)
    found = {str(parameter.dtype) for parameter in model.parameters()}
    if found != {str(dtype)}:
        raise RuntimeError(f"Transformers loaded {sorted(found)}, wanted {dtype} alone")
    return TransformersPeer(model)


def serve_jackfield(pipe: Connection, arguments: argparse.Namespace) -> None:
    """Open an engine, send the model's path and vocabulary size, then answer requests for measurements."""
    settings = [*arguments.set, f"options.cpu.threads={arguments.threads}"]
    words = [word for setting in settings for word in ("--set", setting)]
    loaded = load_from_words([arguments.model, "--dtype", arguments.dtype, *words])
    with LLM.from_config(loaded) as llm:
        vocab = llm.vocab_size
        pipe.send((llm.files.path, vocab))
        for work, seed in iter(pipe.recv, None):
            if work == "decode_bs1":
                run = measure_latency(
                    llm, vocab, batch=1, num_prompt=128, num_outputs=128, seed=seed
                )
                pipe.send(run["decode_tokens_per_s"])
            else:
                run = measure_throughput(llm, vocab, count=32, low=64, high=256, seed=seed)
                pipe.send(run["output_tokens_per_s"])


def serve_transformers(
    pipe: Connection, arguments: argparse.Namespace, path: Path, vocab: int
) -> None:
    """The same for Transformers."""
    torch.set_num_threads(arguments.threads)
    peer = load_peer(path, getattr(torch, arguments.dtype))
    pipe.send(None)
    for work, seed in iter(pipe.recv, None):
        if work == "decode_bs1":
            pipe.send(peer.latency(latency_jobs(vocab, seed=seed)))
        else:
            pipe.send(peer.throughput(throughput_jobs(vocab, seed=seed)))


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of ours"
    )
    parser.add_argument("--output")
    return parser.parse_args()


def main() -> int:
    """Measure and print the report."""
    arguments = parse()
    with side(serve_jackfield, arguments) as ours:
        path, vocab = ours.ready
        with side(serve_transformers, arguments, path, vocab) as peer:
            figures = {
                work: alternate(
                    partial(ours.measure, work), partial(peer.measure, work), arguments.repeats
                )
                for work in ("decode_bs1", "throughput_32")
            }
    report = build("compare_transformers", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    report["versions"] |= versions(("transformers",))
    emit(report, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
