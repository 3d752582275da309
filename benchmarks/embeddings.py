"""Compares Jackfield with Sentence Transformers on vectors of short texts, alternating in one run.

    python benchmarks/embeddings.py --output benchmarks/results/embeddings.json

The model has the shape of BERT-base and random weights, in float32. It gets 64 texts of 5 to 30 words at once. Both use the
same weights and the same number of threads, each in its own process. Their vectors are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from sides import Side, side
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from jackfield import LLM
from jackfield_bench.report import build, emit, summarise, versions

NUM_TEXTS = 64
_TOLERANCE = 1e-5


def save(folder: Path) -> str:
    """Save the model with Sentence Transformers, with a tokenizer of whole words."""
    torch.manual_seed(0)
    config = BertConfig()  # the defaults are those of BERT-base
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(4, config.vocab_size))]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    BertModel(config).save_pretrained(folder / "backbone")
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder / "backbone")
    backbone = Transformer(str(folder / "backbone"))
    pooling = Pooling(config.hidden_size, "mean")
    whole = SentenceTransformer(modules=[backbone, pooling, Normalize()], device="cpu")
    whole.save_pretrained(str(folder / "model"))
    return str(folder / "model")


def texts_of(seed: int) -> list[str]:
    """NUM_TEXTS random texts of 5 to 30 words."""
    draw = random.Random(seed)
    return [
        " ".join(f"w{draw.randrange(4, 30_000)}" for _ in range(draw.randint(5, 30)))
        for _ in range(NUM_TEXTS)
    ]


def serve(pipe: Connection, encode: Callable[[Sequence[str]], Any]) -> None:
    """Send the vectors of the first texts, then answer requests for measurements in texts per second."""
    pipe.send(np.asarray(encode(texts_of(0))))
    for _, seed in iter(pipe.recv, None):
        texts = texts_of(seed)
        began = time.perf_counter()
        encode(texts)
        pipe.send(len(texts) / (time.perf_counter() - began))


def serve_jackfield(pipe: Connection, folder: str, threads: int) -> None:
    """Serve Jackfield."""
    settings = {"model.dtype": "float32", "options.cpu.threads": threads}
    with LLM(folder, settings=settings) as llm:
        serve(pipe, lambda texts: [output.vector for output in llm.embed(list(texts))])


def serve_peer(pipe: Connection, folder: str, threads: int) -> None:
    """Serve Sentence Transformers, with all texts in one batch."""
    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu")
    serve(pipe, partial(model.encode, batch_size=NUM_TEXTS))


def compare(ours: Side, peer: Side, repeats: int) -> dict[str, Any]:
    """Run both alternately after a warm-up each. Returns their summaries and the ratio of the medians.

    Raises RuntimeError if vectors differ.
    """
    difference = float(abs(ours.ready - peer.ready).max())
    if difference > _TOLERANCE:
        raise RuntimeError(f"the vectors differ by {difference:.3g}")
    ours.measure("", 1)
    peer.measure("", 1)
    mine, theirs = [], []
    for number in range(2, repeats + 2):
        mine.append(ours.measure("", number))
        theirs.append(peer.measure("", number))
        print(f"  {number}: {mine[-1]:.1f}, {theirs[-1]:.1f} texts/s", file=sys.stderr)
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {
        "jackfield": summarise(mine),
        "sentence_transformers": summarise(theirs),
        "ratio": summarise(ratios),
        "largest_difference": difference,
    }


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rest = (save(Path(name)), arguments.threads)
        with side(serve_jackfield, *rest) as ours, side(serve_peer, *rest) as peer:
            figures = {"texts_per_s": compare(ours, peer, arguments.repeats)}
    report = build("embeddings", vars(arguments), figures)
    report["command"] = " ".join(["python", *sys.argv])
    report["versions"] |= versions(("transformers", "sentence-transformers"))
    emit(report, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
