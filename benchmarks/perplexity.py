"""Measures the perplexity of models on two fixed texts, from the engine's log probabilities of prompt tokens.

    python benchmarks/perplexity.py MODEL... --output benchmarks/results/FILE.json

A text is cut into windows, each of which is a prompt by itself; its first token is not scored. Everything is computed in
float32, so that only the weights count. Figures can be compared only if their windows are equal.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jackfield import LLM, SamplingParams
from jackfield_bench.report import build, emit

TEXTS = Path(__file__).parent / "texts"
WINDOWS = {"devil": 8, "jargon": 4}
WINDOW = 1024  # tokens


def main(words: Sequence[str] | None = None) -> int:
    """Measure each model and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", nargs="+", help="folder, file, hub name, pypi:NAME==VERSION or alias"
    )
    parser.add_argument("--window", type=int, default=WINDOW, help="tokens")
    parser.add_argument("--windows", type=int, help="of each text; default: 8 and 4")
    parser.add_argument("--quantization", help="a scheme that rounds while it loads, e.g. int8")
    parser.add_argument("--output", metavar="FILE", help="write the JSON there, too")
    arguments = parser.parse_args(words)
    figures = {model: measure(model, arguments) for model in arguments.model}
    settings = {
        "window": arguments.window,
        "quantization": arguments.quantization,
        "dtype": "float32",
    }
    emit(build("perplexity", settings, figures), arguments.output)
    return 0


def measure(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The perplexity on each text, and the size of the model's files."""
    settings: dict[str, Any] = {"model.max_length": arguments.window + 1}
    if arguments.quantization:
        settings["select.quantization"] = arguments.quantization
    with LLM(model, dtype="float32", settings=settings) as llm:
        found: dict[str, Any] = {
            name: round(perplexity(llm, name, arguments.windows or count, arguments.window), 3)
            for name, count in WINDOWS.items()
        }
        path = llm.files.path
    files = path.iterdir() if path.is_dir() else [path]
    weights = [file for file in files if file.suffix in (".safetensors", ".gguf", ".bin", ".pt")]
    return {**found, "weights_mb": round(sum(file.stat().st_size for file in weights) / 1e6, 1)}


def perplexity(llm: LLM, name: str, num_windows: int, window: int) -> float:
    """The perplexity on the first windows of a text."""
    text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    ids = llm.tokenizer.encode(text, add_special_tokens=False)
    prompts = [ids[start * window : (start + 1) * window] for start in range(num_windows)]
    params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)
    scored = [
        entry.logprob
        for output in llm.generate([prompt for prompt in prompts if len(prompt) == window], params)
        for entry in (output.prompt_logprobs or ())
        if entry is not None
    ]
    return math.exp(-math.fsum(scored) / len(scored))


if __name__ == "__main__":
    raise SystemExit(main())
