"""Times attention backends on an accelerator: one layer alone, in a graph if the backend can be recorded.

    python benchmarks/attention_backends.py [NAME ...] [--work BEGINNING] [--output FILE]

The CUDA platform's order of preference follows these figures. First, each output is compared with that of torch_sdpa.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from jackfield.cache import FULL, LATENT, CacheGroup, key_and_value
from jackfield.dtypes import parse_dtype
from jackfield_torch.interfaces.attention import AttentionBatch, AttentionLimits, LayerAttention
from jackfield_torch.interfaces.attention_backend import AttentionBackend, AttentionNeed
from jackfield_torch.paged_cache import GroupCache, choose_layout

DEVICE = torch.device("cuda")
DTYPE = "bfloat16"
BLOCK_SIZES = (16, 64, 256)  # tokens; each backend uses the first one that it takes
READ_TB_S = 4.66  # memory bandwidth, measured on an H200
ERROR = 0.03  # largest allowed difference, for outputs of size 1


@dataclass(frozen=True)
class Work:
    """One step. Rows are (queries, tokens in all)."""

    name: str
    rows: tuple[tuple[int, int], ...]
    heads: tuple[int, int] = (32, 8)
    head_size: int = 128
    latent: int | None = None  # the value is this many elements of the one key

    @property
    def token_bytes(self) -> int:
        """What the cache of one layer holds of a token."""
        return (2 if self.latent is None else 1) * self.heads[1] * self.head_size * 2

    @property
    def floor_ms(self) -> float:
        """The least time for reading the cache once."""
        return sum(length for _, length in self.rows) * self.token_bytes / READ_TB_S / 1e9


WORKS = (
    Work("decode 64 x 1000", ((1, 1000),) * 64),
    Work("decode 128 x 1000, 16/8 heads", ((1, 1000),) * 128, heads=(16, 8)),
    Work("decode 1 x 1000", ((1, 1000),)),
    Work("decode 8 x 16000", ((1, 16000),) * 8),
    Work("prompt 4000", ((4000, 4000),)),
    Work("prompt 4000, 16/8 heads", ((4000, 4000),), heads=(16, 8)),
    Work("32 decodes x 1000 and 2000 of a prompt", ((1, 1000),) * 32 + ((2000, 4000),)),
    *(
        Work(f"latent, decode {rows} x {length}", ((1, length),) * rows, (heads, 1), 576, 512)
        for rows, length, heads in (
            (64, 4000, 16),
            (32, 4000, 16),
            (128, 1000, 16),
            (1, 4000, 16),
            (64, 4000, 128),
        )
    ),
    Work("latent, 4 drafts of 16 x 4000", ((4, 4000),) * 16, (16, 1), 576, 512),
)


def main() -> None:
    """Measure the named backends, or all that are installed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--work", default="", help="the beginning of the works to run")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    entries = metadata.entry_points(group="jackfield_torch.attention_backends.v1")
    cards = {e.name: e.load()() for e in entries if e.name in (arguments.names or entries.names)}
    records = []
    with torch.inference_mode():
        for work in WORKS:
            if not work.name.startswith(arguments.work):
                continue
            for name, card in cards.items():
                record = measure(name, card, work)
                records.append(record)
                print(json.dumps(record), flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps({**machine(), "records": records}, indent=1) + "\n")


def machine() -> dict[str, str]:
    """The date, device and versions for the report."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }


def measure(name: str, card: AttentionBackend, work: Work) -> dict[str, Any]:
    """Measure one backend on one work. If the backend refuses, the record says why."""
    record: dict[str, Any] = {"work": work.name, "backend": name}
    facts, refusals = card.probe(), []
    for block_size in BLOCK_SIZES if work.latent is None else BLOCK_SIZES[1:]:
        reasons = card.check(_need(work, block_size), facts)
        if not reasons:
            return record | {"block_size": block_size} | _measured(name, card, work, block_size)
        refusals = [str(reason) for reason in reasons]
    return record | {"refused": refusals}


def _measured(name: str, card: AttentionBackend, work: Work, block_size: int) -> dict[str, Any]:
    torch.manual_seed(0)
    try:
        step = _Step(name, card, work, block_size)
        output = step.run().float()
        answer = _Step("torch_sdpa", _sdpa(), work, block_size, like=step).run().float()
        error = float((output - answer).abs().max())
        is_captured = card.capture != "none" and all(count == 1 for count, _ in work.rows)
        ms = _time(step.run, is_captured)
    except Exception as problem:  # the other backends are still measured
        return {"failed": f"{type(problem).__name__}: {str(problem)[:300]}"}
    return {
        "ms": round(ms, 4),
        "floor_ms": round(work.floor_ms, 4),
        "share_of_bandwidth": round(work.floor_ms / ms, 3),
        "graph": is_captured,
        "error": round(error, 4),
        "right": error < ERROR,
    }


class _Step:
    def __init__(
        self, name: str, card: AttentionBackend, work: Work, block_size: int, like: Any = None
    ) -> None:
        dtype = parse_dtype(DTYPE)
        heads, kv_heads = work.heads
        group = CacheGroup(
            index=0,
            kind=FULL if work.latent is None else LATENT,
            layers=(0,),
            tensors=key_and_value(kv_heads, work.head_size, dtype)[
                : 2 if work.latent is None else 1
            ],
        )
        counts = [count for count, _ in work.rows]
        lengths = [length for _, length in work.rows]
        width = -(-max(lengths) // block_size)
        num_blocks = len(counts) * width
        layout = choose_layout({name: card.layouts}, block_size, dtype, "a benchmark")
        cache = GroupCache(group, layout, num_blocks, kv_heads, DEVICE)
        store = cache.layers[0]
        self.views = store.views if work.latent is None else store.latent_views(work.latent)
        if like is None:
            self.views.key_BSHD.normal_()
            if work.latent is None:
                self.views.value_BSHD.normal_()
            self.table = torch.randperm(num_blocks, device=DEVICE).int().view(len(counts), width)
            self.q = torch.randn(sum(counts), heads, work.head_size, device=DEVICE).bfloat16()
        else:
            self.views.key_BSHD.copy_(like.views.key_BSHD)
            if work.latent is None:
                self.views.value_BSHD.copy_(like.views.value_BSHD)
            self.table, self.q = like.table, like.q
        limits = AttentionLimits(
            device=DEVICE,
            dtype=torch.bfloat16,
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_size=work.head_size,
            max_rows=len(counts),
            max_step_tokens=sum(counts),
            max_length=max(lengths),
            num_blocks=num_blocks,
        )
        self.attention = card.create(group, layout, limits)
        self.layer = LayerAttention(scale=work.head_size**-0.5, latent=work.latent)
        batch = AttentionBatch(
            query_lengths=counts,
            lengths=lengths,
            query_starts_R1=torch.tensor([0, *counts]).cumsum(0).int().to(DEVICE),
            lengths_R=torch.tensor(lengths).int().to(DEVICE),
            block_ids_RB=self.table,
            slots_T=torch.zeros(sum(counts), dtype=torch.int64, device=DEVICE),
        )
        self.attention.prepare(batch)

    def run(self) -> torch.Tensor:
        return self.attention.attend(self.q, self.views, self.layer)


def _need(work: Work, block_size: int) -> AttentionNeed:
    return AttentionNeed(
        device=DEVICE.type,
        dtype=DTYPE,
        cache_dtype=DTYPE,
        num_heads=work.heads[0],
        num_kv_heads=work.heads[1],
        head_size=work.head_size,
        block_size=block_size,
        latent=work.latent,
    )


def _sdpa() -> AttentionBackend:
    from jackfield_torch_sdpa.backend import TorchSdpaBackend

    return TorchSdpaBackend()


def _time(run: Callable[[], object], is_captured: bool, calls: int = 10, rounds: int = 7) -> float:
    """Milliseconds per call: the median over rounds of several calls."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    if is_captured:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(calls):
                run()
        several: Callable[[], object] = graph.replay
    else:

        def several() -> None:
            for _ in range(calls):
                run()

    several()
    times = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        several()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / calls)
    return statistics.median(times)


if __name__ == "__main__":
    main()
