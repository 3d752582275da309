"""Compares a mixture of experts with a dense model of equally many active parameters: decoding at batch 1, alternating.

    python benchmarks/experts.py --output benchmarks/results/FILE.json

The first model has layers of Qwen3-30B-A3B with 64 experts, of which each token chooses 8. The second one has the same layers
with one feed-forward as wide as those 8 together. Weights are random. The vocabulary is small, so that the head does not hide
the difference. A sample is the time for 64 tokens after a short prompt and the first token.

The models have 12 layers: the dense one is 1.4 GB then. With 4 layers it is 0.47 GB, which caches of large processors (up to 480 MB) hold in good part, while the
experts, ten times as large, are read from memory. In bfloat16 both models together take 9 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

from jackfield import LLM, SamplingParams
from jackfield_bench.report import build, emit, summarise

NUM_EXPERTS, TOP_K, EXPERT_SIZE = 64, 8, 768
NUM_TOKENS = 64
SHARED: dict[str, Any] = {
    "hidden_size": 2048,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "vocab_size": 4096,
    "max_position_embeddings": 512,
    "dtype": "bfloat16",
}
MODELS: dict[str, dict[str, Any]] = {
    "experts": {
        **SHARED,
        "architectures": ["Qwen3MoeForCausalLM"],
        "intermediate_size": TOP_K * EXPERT_SIZE,
        "moe_intermediate_size": EXPERT_SIZE,
        "num_experts": NUM_EXPERTS,
        "num_experts_per_tok": TOP_K,
        "norm_topk_prob": True,
    },
    "dense": {
        **SHARED,
        "architectures": ["Qwen3ForCausalLM"],
        "intermediate_size": TOP_K * EXPERT_SIZE,
    },
}


def open_model(config: dict[str, Any], folder: Path, dtype: str) -> LLM:
    """Open an engine with random weights."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    settings = {
        "select.weight_format": "dummy",
        "model.dtype": dtype,
        "cache.num_blocks": 64,
        "cache.prefix_caching": False,
    }
    return LLM(str(folder), settings=settings)


def seconds(llm: LLM, num_tokens: int) -> float:
    """Seconds for one request."""
    params = SamplingParams(max_tokens=num_tokens, temperature=0.0, ignore_eos=True)
    began = perf_counter()
    llm.generate([[1, 2, 3, 4]], params)
    return perf_counter() - began


def tokens_per_s(llm: LLM) -> float:
    """Decoded tokens per second at batch 1."""
    first = seconds(llm, 1)
    return NUM_TOKENS / (seconds(llm, NUM_TOKENS + 1) - first)


def main() -> None:
    """Measure both models and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = {
            name: stack.enter_context(
                open_model(
                    {**config, "num_hidden_layers": arguments.layers},
                    folder / name,
                    arguments.dtype,
                )
            )
            for name, config in MODELS.items()
        }
        for llm in engines.values():
            tokens_per_s(llm)
        samples = [
            {name: tokens_per_s(llm) for name, llm in engines.items()}
            for _ in range(arguments.repeats)
        ]
    figures = {
        **{f"{name}_tokens_per_s": summarise([each[name] for each in samples]) for name in MODELS},
        "ratio": summarise([each["experts"] / each["dense"] for each in samples]),
    }
    report = build("experts", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    emit(report, arguments.output)


if __name__ == "__main__":
    main()
