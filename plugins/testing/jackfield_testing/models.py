"""Tiny models for the reference platform: specs, and folders with a config and a tokenizer but without weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jackfield.dtypes import FLOAT32
from jackfield.interfaces.model import ConfigReader
from jackfield.interfaces.model_config import read_dtype, read_end_token_ids
from jackfield.model_spec import Attention, FeedForward, Layer, ModelSpec, Norm, Rope
from jackfield_testing.tokenizer import END_TOKEN_ID, VOCAB_SIZE, write_byte_tokenizer

ARCHITECTURE = "ReferenceForCausalLM"
_HEAD_SIZE = 8

Sight = int | str | None
"""How far a layer sees: None for all tokens, a number of last tokens, or the size of its chunks, as "chunk 8"."""


def tiny_spec(
    num_layers: int = 2,
    *,
    windows: Sequence[Sight] = (None,),
    max_length: int = 512,
    vocab_size: int = VOCAB_SIZE,
    end_token_ids: tuple[int, ...] = (END_TOKEN_ID,),
) -> ModelSpec:
    """A decoder whose layers use the `windows` in turn: (None,) and (8,) give one cache group, (None, "chunk 8") two."""
    return ModelSpec(
        architecture=ARCHITECTURE,
        vocab_size=vocab_size,
        hidden_size=2 * _HEAD_SIZE,
        max_length=max_length,
        layers=tuple(_layer(windows[index % len(windows)]) for index in range(num_layers)),
        final_norm=Norm(epsilon=1e-5),
        modules={},
        dtype=FLOAT32,
        end_token_ids=end_token_ids,
        tied_head=True,
    )


def sight_of(window: Sight) -> dict[str, Any]:
    """The fields of attention, or of a cache group, for a sight: `window`, or `chunk_size` for "chunk 8"."""
    if isinstance(window, str):
        return {"chunk_size": int(window.removeprefix("chunk "))}
    return {"window": window}


def _layer(window: Sight) -> Layer:
    norm = Norm(epsilon=1e-5)
    mixer = Attention(
        num_heads=2,
        num_kv_heads=1,
        head_size=_HEAD_SIZE,
        scale=_HEAD_SIZE**-0.5,
        rope=Rope(theta=10_000.0, rotary_size=_HEAD_SIZE),
        **sight_of(window),
    )
    feed_forward = FeedForward(size=4 * _HEAD_SIZE)
    return Layer(mixer=mixer, feed_forward=feed_forward, mixer_norm=norm, feed_forward_norm=norm)


def reference_model(config: ConfigReader) -> ModelSpec:
    """The model plugin of `ReferenceForCausalLM`, the architecture of the folders that `write_model` writes."""
    spec = tiny_spec(
        config.require("num_hidden_layers", int),
        windows=config.require("windows", list),
        max_length=config.require("max_position_embeddings", int),
        vocab_size=config.require("vocab_size", int),
        end_token_ids=read_end_token_ids(config),
    )
    return replace(spec, dtype=read_dtype(config))


def write_model(
    folder: Path,
    *,
    num_layers: int = 2,
    windows: Sequence[Sight] = (None,),
    max_length: int = 512,
) -> Path:
    """Write config.json and a byte tokenizer to `folder`, which is created. Returns the folder.

    Open it with the settings `select.platform = reference` and `select.weight_format = dummy`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "architectures": [ARCHITECTURE],
        "num_hidden_layers": num_layers,
        "windows": list(windows),
        "max_position_embeddings": max_length,
        "vocab_size": VOCAB_SIZE,
        "eos_token_id": END_TOKEN_ID,
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_byte_tokenizer(folder)
    return folder
